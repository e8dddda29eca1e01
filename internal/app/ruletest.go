package app

import (
	"context"

	"github.com/foreshock/foreshock/internal/ruletest"
)

// RuleTestOptions say which tests of rules run, and where the results go.
type RuleTestOptions = ruletest.Options

// CheckRun says what is wrong with the names of test groups to run.
func CheckRun(run []string) error { return ruletest.CheckRun(run) }

// RuleTests runs files of rule tests. The error says how many failed.
func RuleTests(ctx context.Context, files []string, o RuleTestOptions) error {
	o.LoadConfig = func(path string) (ruletest.Config, error) {
		c, err := LoadConfig(path)
		if err != nil {
			return ruletest.Config{}, err
		}
		return c.Engine, nil
	}
	return ruletest.Run(ctx, files, o)
}
