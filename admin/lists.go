package admin

import (
	"encoding/base64"
	"encoding/json"

	"hongyan/internal/fault"
	"hongyan/internal/walk"
)

// shortPages tells readers of a list what package walk does.
const shortPages = "A page may have fewer items than limit, or none, though there is more: go on as long as there is a next."

// walked reads one page of a list that package walk reads. show turns a row into what the API shows.
func walked[T, V any](c *Call, p PageParams, read func(walk.Options) (walk.Page[T], error), show func(T) V) (*pageOut[V], error) {
	o := walk.Options{Limit: p.Limit}
	after, err := positionOf[walk.Place](c, p.Cursor)
	if err != nil {
		return nil, err
	}
	if after != nil {
		o.After = *after
	}
	page, err := read(o)
	if err != nil {
		return nil, err
	}
	out := &pageOut[V]{Body: Page[V]{Items: make([]V, 0, len(page.Rows))}}
	for _, row := range page.Rows {
		out.Body.Items = append(out.Body.Items, show(row))
	}
	if page.Next != nil {
		raw, err := json.Marshal(cursor[walk.Place]{List: c.list, At: *page.Next})
		if err != nil {
			return nil, fault.Wrap(fault.Internal, err, "write a cursor")
		}
		out.Body.Next = base64.RawURLEncoding.EncodeToString(raw)
	}
	return out, nil
}

// yes is a filter that is yes, no, or not asked.
func yes(text string) *bool {
	if text == "" {
		return nil
	}
	is := text == "true"
	return &is
}
