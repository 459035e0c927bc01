package campaigns

import (
	"cmp"
	"slices"

	"gorm.io/gorm"
)

// Silence is a passing of time for which a running drip waits: TriggerSilent with hours, or TriggerClosing with minutes.
type Silence struct {
	Kind string
	N    int
}

// Silences lists the passings of time that start running drips of an account, each once, in order.
func (s *Store) Silences(tx *gorm.DB, accountID int64) ([]Silence, error) {
	running, err := s.runningDrips(tx, accountID)
	if err != nil {
		return nil, err
	}
	var out []Silence
	for _, r := range running {
		for i := range r.triggers {
			if t := &r.triggers[i]; t.kind == TriggerSilent || t.kind == TriggerClosing {
				out = append(out, Silence{Kind: t.kind, N: t.n})
			}
		}
	}
	slices.SortFunc(out, func(a, b Silence) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.N, b.N)) })
	return slices.Compact(out), nil
}
