package admin

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"

	"hongyan/accounts"
	"hongyan/internal/fault"
)

// PageParams are the parameters of every list: put them into its input, beside the list's own filters and its sort.
type PageParams struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Most items in the answer"`
	Cursor string `query:"cursor" maxLength:"1024" doc:"Where the list goes on: next of the page before, asked with the same filters and sort"`
}

// Page is a part of a list.
type Page[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; none after the last one"`
}

// pageOut is the answer of a list.
type pageOut[T any] struct{ Body Page[T] }

// cursor is what the caller gets back as an opaque text.
type cursor[K any] struct {
	List string `json:"l"` // which list it belongs to
	At   K      `json:"a"` // the last item of the page
}

// listName is the same for two requests for pages of one list: the operation, the account, filters and sort.
func listName(op *Op, account *accounts.Account, query url.Values) string {
	h := sha256.New()
	write := func(part string) { h.Write([]byte(strconv.Itoa(len(part)) + ":" + part)) }
	write(op.ID)
	if account != nil {
		write(strconv.FormatInt(account.ID, 10))
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if name != "limit" && name != "cursor" {
			write(name)
			for _, v := range query[name] {
				write(v)
			}
		}
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:9])
}

// paged reads one page of a list. read returns up to n items after the position, from the start for nil; at is an item's position: the values of the
// columns that the list is sorted by, ending in one that is unique. show turns an item into what the API shows.
func paged[T, K, V any](c *Call, p PageParams, read func(after *K, n int) ([]T, error), at func(*T) K, show func(*T) V) (*pageOut[V], error) {
	after, err := positionOf[K](c, p.Cursor)
	if err != nil {
		return nil, err
	}
	found, err := read(after, p.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &pageOut[V]{Body: Page[V]{Items: make([]V, 0, len(found))}}
	if len(found) > p.Limit {
		found = found[:p.Limit]
		raw, err := json.Marshal(cursor[K]{List: c.list, At: at(&found[p.Limit-1])})
		if err != nil {
			return nil, fault.Wrap(fault.Internal, err, "write a cursor")
		}
		out.Body.Next = base64.RawURLEncoding.EncodeToString(raw)
	}
	for i := range found {
		out.Body.Items = append(out.Body.Items, show(&found[i]))
	}
	return out, nil
}

// positionOf reads a cursor. It is refused unless this list has given it.
func positionOf[K any](c *Call, text string) (*K, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no cursor is the start of the list
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, errCursor
	}
	var in cursor[json.RawMessage]
	if json.Unmarshal(raw, &in) != nil || in.List == "" {
		return nil, errCursor
	}
	if in.List != c.list {
		return nil, fault.BadField("query.cursor", "other_list", "this cursor belongs to another list, filter or sort; begin without a cursor")
	}
	at := new(K)
	if json.Unmarshal(in.At, at) != nil {
		return nil, errCursor
	}
	return at, nil
}

var errCursor = fault.BadField("query.cursor", "cursor", "this is no cursor; take next of the page before, or begin without one")
