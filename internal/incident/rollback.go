package incident

import (
	"github.com/foreshock/foreshock/internal/change"
)

// rollback is what to go back to: only where the cause is known and a change is
// suspected of it. Maintenance is ended by whoever does it.
func (c *Correlator) rollback(t *thread) *Rollback {
	s := t.Suspect()
	if !t.Known || s == nil || s.Kind == change.Maintenance {
		return nil
	}
	return &Rollback{Change: s.Change, Text: undo(s.Change), Command: c.o.Command(s.Change)}
}

// undo says in a few words how a change is undone.
func undo(c change.Change) string {
	what := c.Kind
	if what == "" {
		what = "change"
	}
	switch {
	case c.Kind == "flag" && c.Title != "" && c.From != "":
		return "set the flag " + cut(c.Title, maxTitle) + " of " + name(c.Service) + " back to " + c.From
	case c.Kind == "flag" && c.Title != "":
		return "switch the flag " + cut(c.Title, maxTitle) + " of " + name(c.Service) + " back"
	case c.Kind == change.DefaultKind && c.From != "":
		return "roll " + name(c.Service) + " back to " + c.From
	case c.From != "" && c.Title != "":
		return "set the " + what + " of " + name(c.Service) + " (" + cut(c.Title, maxTitle) + ") back to " + c.From
	case c.From != "":
		return "set the " + what + " of " + name(c.Service) + " back to " + c.From
	case c.Title != "":
		return "undo the " + what + " of " + name(c.Service) + " (" + cut(c.Title, maxTitle) + ")"
	}
	return "undo the " + what + " of " + name(c.Service)
}
