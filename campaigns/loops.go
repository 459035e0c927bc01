package campaigns

import (
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"hongyan/internal/fault"
)

// link is a tag that one drip gives and that starts another, or itself.
type link struct {
	from, to int64
	tag      int64
}

// checkLoops refuses a definition with which drips would start each other in a circle: one gives a tag that starts the next, and the last one gives a tag
// that starts the first. It reads all drips of the account that have not ended and keeps them from changing until the transaction ends, so that of two
// that are saved at once the second is refused. A circle through other programs, a webhook that is answered by an event, cannot be seen here.
func (s *Store) checkLoops(tx *gorm.DB, accountID, id int64, def *Definition) error {
	if !def.linked() {
		return nil
	}
	drips, err := s.read(tx, "c.account_id = ? AND c.state IN ? ORDER BY c.id"+s.DB.Dialect().ForUpdate(), accountID, []State{StateDraft, StateRunning, StatePaused})
	if err != nil {
		return err
	}
	names := map[int64]string{}
	definitions := map[int64]*Definition{}
	for _, d := range drips {
		names[d.ID], definitions[d.ID] = d.Name, &d.Definition
	}
	definitions[id] = def
	circle := circleFrom(id, linksOf(definitions))
	if circle == nil {
		return nil
	}
	if names[id] == "" { // new, so that it has no version to be read with yet
		var name string
		if err := tx.Raw("SELECT name FROM campaigns WHERE id = ? AND account_id = ?", id, accountID).Scan(&name).Error; err != nil {
			return fmt.Errorf("name a drip: %w", err)
		}
		names[id] = name
	}
	parts := make([]string, 0, len(circle))
	for _, l := range circle {
		parts = append(parts, fmt.Sprintf("%s (%d) –[%d]→", names[l.from], l.from, l.tag))
	}
	i := slices.IndexFunc(def.Numbered(), func(n Numbered) bool { return n.kind() == StepTag && n.Tag == circle[0].tag })
	return fault.BadField(def.Numbered()[i].Path+".tag", "loop",
		"drips would start each other in a circle, by the tags they give: %s %s (%d); give another tag, or take away one of the triggers",
		strings.Join(parts, " "), names[id], id)
}

// linked reports whether the drip can be part of a circle.
func (d *Definition) linked() bool {
	return slices.ContainsFunc(d.Triggers, func(t Trigger) bool { return t.Kind == TriggerTag }) &&
		slices.ContainsFunc(d.Numbered(), func(n Numbered) bool { return n.kind() == StepTag })
}

// linksOf lists which drips start which.
func linksOf(definitions map[int64]*Definition) []link {
	starts := map[int64][]int64{} // drips by the tag that starts them
	for _, id := range sortedKeys(definitions) {
		for _, t := range definitions[id].Triggers {
			if t.Kind == TriggerTag {
				starts[t.Tag] = append(starts[t.Tag], id)
			}
		}
	}
	var out []link
	for _, id := range sortedKeys(definitions) {
		for _, n := range definitions[id].Numbered() {
			if n.kind() != StepTag {
				continue
			}
			for _, to := range starts[n.Tag] {
				out = append(out, link{from: id, to: to, tag: n.Tag})
			}
		}
	}
	return out
}

// circleFrom is the shortest way from a drip back to itself, nil if there is none.
func circleFrom(id int64, links []link) []link {
	type way struct {
		at   int64
		came []link
	}
	seen := map[int64]bool{}
	for queue := []way{{at: id}}; len(queue) > 0; queue = queue[1:] {
		for _, l := range links {
			if l.from != queue[0].at {
				continue
			}
			came := append(slices.Clone(queue[0].came), l)
			if l.to == id {
				return came
			}
			if !seen[l.to] {
				seen[l.to] = true
				queue = append(queue, way{l.to, came})
			}
		}
	}
	return nil
}
