package livecheck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/foreshock/foreshock/internal/source"
)

const (
	lifeSpan = 24 * time.Hour   // over which the lives of series are looked at
	lifeStep = 30 * time.Minute // how closely
	// churning is how many times the series of now there may have been in a day.
	churning = 4
)

// life asks for how long the series of a detection rule are there.
func (a *asked) life(ctx context.Context, e parser.Expr) error {
	if a.Series == 0 {
		return nil
	}
	m, err := a.Range(ctx, e.String(), a.Now.Add(-lifeSpan), a.Now, lifeStep)
	if err != nil {
		if fatal(ctx, err) {
			return err
		}
		return nil // too much for the server: it is not worth an error
	}
	first := int64(0)
	for _, s := range m {
		if len(s.Floats) > 0 && (first == 0 || s.Floats[0].T < first) {
			first = s.Floats[0].T
		}
	}
	var lives []time.Duration
	for _, s := range m {
		if len(s.Floats) > 0 {
			lives = append(lives, time.Duration(s.Floats[len(s.Floats)-1].T-s.Floats[0].T)*time.Millisecond+lifeStep)
		}
	}
	if len(lives) == 0 {
		return nil
	}
	slices.Sort(lives)
	a.Life = lives[len(lives)/2]
	a.WholeDay = a.Life >= a.Now.Sub(time.UnixMilli(first))
	if len(lives) > churning*a.Series {
		a.warn(a.place, "%d series in a day, and %d now: the median one lives for %s, too short to learn from. Aggregate away what changes, or name with by: what stays%s",
			len(lives), a.Series, short(a.Life), changing(m))
	}
	return nil
}

// changing names the label with the most values.
func changing(m promql.Matrix) string {
	values := map[string]map[string]bool{}
	for _, s := range m {
		for name, v := range s.Metric.Map() {
			if values[name] == nil {
				values[name] = map[string]bool{}
			}
			values[name][v] = true
		}
	}
	best := ""
	for name, v := range values {
		if n := len(v); best == "" || n > len(values[best]) || n == len(values[best]) && name < best {
			best = name
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (%s has %d values)", best, len(values[best]))
}

// short is a duration to the minute.
func short(d time.Duration) string {
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// fatal reports whether an error is the server's or the caller's, so that there
// is no point in asking on.
func fatal(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, source.ErrUnavailable)
}

const (
	perJob       = 2   // targets of a job that are looked at
	mostTargets  = 100 // of all jobs
	intervalSpan = 11 * time.Minute
)

// ScrapeIntervals is, by job, the usual distance of two scrapes, as it is
// between samples; a job of which there are no two samples is left out.
func ScrapeIntervals(ctx context.Context,
	query func(context.Context, string, time.Time) (promql.Vector, error),
	ranged func(context.Context, string, time.Time, time.Time, time.Duration) (promql.Matrix, error), now time.Time,
) (map[string]time.Duration, error) {
	targets, err := query(ctx, "group by (job, instance) (up)", now)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(targets, func(x, y promql.Sample) int {
		return cmp.Or(cmp.Compare(x.Metric.Get("job"), y.Metric.Get("job")), cmp.Compare(x.Metric.Get("instance"), y.Metric.Get("instance")))
	})
	var instances []string
	seen := map[string]int{}
	for _, t := range targets {
		if job, i := t.Metric.Get("job"), t.Metric.Get("instance"); i != "" && seen[job] < perJob && len(instances) < mostTargets {
			seen[job]++
			instances = append(instances, regexp.QuoteMeta(i))
		}
	}
	out := map[string]time.Duration{}
	if len(instances) == 0 {
		return out, nil
	}
	expr := fmt.Sprintf("timestamp(up{instance=~%q})", strings.Join(instances, "|"))
	// Where the first second has not passed yet, the second look is a closer one.
	for _, look := range []struct{ span, step time.Duration }{{intervalSpan, time.Second}, {10 * time.Second, 50 * time.Millisecond}} {
		m, err := ranged(ctx, expr, now.Add(-look.span), now, look.step)
		if err != nil {
			return nil, err
		}
		distances := map[string][]time.Duration{}
		for _, s := range m {
			job := s.Metric.Get("job")
			for k := 1; k < len(s.Floats); k++ {
				if d := s.Floats[k].F - s.Floats[k-1].F; d > 0 {
					distances[job] = append(distances[job], time.Duration(d*float64(time.Second)))
				}
			}
		}
		for job, list := range distances {
			slices.Sort(list)
			out[job] = Usual(list[len(list)/2])
		}
		if len(out) > 0 {
			return out, nil
		}
	}
	return out, nil
}

// Usual is the nearest of the intervals that people configure.
func Usual(d time.Duration) time.Duration {
	best := time.Minute
	for _, usual := range []time.Duration{
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 20 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
	} {
		if (usual - d).Abs() < (best - d).Abs() {
			best = usual
		}
	}
	return best
}
