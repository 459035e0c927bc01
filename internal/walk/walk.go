// Package walk reads long lists in pages: by ranges of indexes, never by counting rows from the start, and never more of them than a page may cost.
//
// A list is one range of places or several, one after another. A page reads places in their order, loads their rows, and passes over those that a filter
// leaves out. When it has looked at as many as it may, it ends short and says where to go on; so a page costs the same however rare the rows are that are looked for.
// Of ours it imports database alone.
package walk

import (
	"cmp"
	"math"
)

const (
	// DefaultLimit is how many rows a page has, unless more or fewer are asked for.
	DefaultLimit = 50
	// MaxLimit is how many it has at most.
	MaxLimit = 200
	// DefaultBudget is how many places a page looks at, at most.
	DefaultBudget = 1000
	// paceLeast is the least number of places that are looked at when a page is not full yet.
	paceLeast = 20
)

// Place is where a list goes on: behind the row that it names. The zero value is the start. What of it counts is known by the list that gave it. Clients carry
// it as a cursor, and may change it: it says where to read and never what may be read.
type Place struct {
	Range int    `json:"r,omitempty"` // of several, one after another
	Group int64  `json:"g,omitempty"`
	Sort  int64  `json:"s,omitempty"` // what the list is sorted by before the id
	Name  string `json:"n,omitempty"` // likewise, if that is a text
	ID    int64  `json:"i,omitempty"` // 0: at the start of the range
}

// Started reports whether the place is behind a row, and not at the start of its range.
func (p Place) Started() bool { return p.ID != 0 }

// Before is the id below which a list that falls by id goes on.
func (p Place) Before() int64 {
	if p.ID == 0 {
		return math.MaxInt64
	}
	return p.ID
}

// Range is a part of a list that one range of an index serves.
type Range[T any] struct {
	// Next reads the next n places of the range behind a place; fewer are the end of the range.
	Next func(after Place, n int) ([]Place, error)
	// Load reads the rows of places, by their ids, without those that the filter leaves out.
	Load func(places []Place) (map[int64]T, error)
}

// Options say which page is read.
type Options struct {
	After  Place
	Limit  int  // of rows; 0 means DefaultLimit, and more than MaxLimit means that
	Budget int  // of places to look at; 0 means DefaultBudget
	Sparse bool // a filter may leave many out, so twice as many as are wanted are read first
}

// Page is a part of a list.
type Page[T any] struct {
	Rows []T
	// Next is where the list goes on; nil at its end. A page may be shorter than its limit, and empty, though there is more.
	Next *Place
}

// Read reads a page of a list that has these ranges, one after another.
func Read[T any](o Options, ranges ...Range[T]) (Page[T], error) {
	limit, budget := min(cmp.Or(max(o.Limit, 0), DefaultLimit), MaxLimit), cmp.Or(o.Budget, DefaultBudget)
	at, looked, step := o.After, 0, limit+1
	if o.Sparse {
		step *= 2
	}
	out := Page[T]{}
	for at.Range >= 0 && at.Range < len(ranges) { // a place may have been made up
		n := min(step, budget-looked)
		if n <= 0 {
			out.Next = &at
			return out, nil
		}
		r := ranges[at.Range]
		places, err := r.Next(at, n)
		if err != nil {
			return Page[T]{}, err
		}
		rows, err := r.load(places)
		if err != nil {
			return Page[T]{}, err
		}
		for _, p := range places {
			row, in := rows[p.ID]
			if in && len(out.Rows) == limit {
				out.Next = &at
				return out, nil
			}
			if in {
				out.Rows = append(out.Rows, row)
			}
			p.Range = at.Range
			at = p
		}
		if looked += len(places); len(places) < n {
			at = Place{Range: at.Range + 1}
		}
		step = Pace(looked, len(out.Rows), limit+1-len(out.Rows))
	}
	return out, nil
}

// Pace is how many places to look at next, when so many have been looked at, so many of them were rows of the page, and so many are missing: a fourth more than
// should hold those, because another statement costs more than some places too many.
func Pace(looked, found, missing int) int {
	return max(paceLeast, missing*looked*5/max(found*4, 2))
}

func (r Range[T]) load(places []Place) (map[int64]T, error) {
	if len(places) == 0 {
		return map[int64]T{}, nil
	}
	return r.Load(places)
}

// IDs are the ids of places.
func IDs(places []Place) []int64 {
	out := make([]int64, len(places))
	for i, p := range places {
		out[i] = p.ID
	}
	return out
}
