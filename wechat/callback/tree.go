package callback

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxDepth and maxNodes bound what a hostile body can make us build. The largest known
// push, the result of a mass send with eight articles, has about a hundred nodes.
const (
	maxDepth = 16
	maxNodes = 4096
)

// node is one field of a push or a reply, whichever of XML and JSON it came in: an
// element with text or with children. A JSON array is a run of children of one name.
type node struct {
	name   string
	text   string
	kids   []node
	number bool // written without CDATA or quotes
}

// child is the first child of that name, or nil. Names are compared without regard to
// case, because samples in the wild differ (MsgId and MsgID).
func (n *node) child(name string) *node {
	if n == nil {
		return nil
	}
	for i := range n.kids {
		if strings.EqualFold(n.kids[i].name, name) {
			return &n.kids[i]
		}
	}
	return nil
}

// all lists the children of that name.
func (n *node) all(name string) []*node {
	if n == nil {
		return nil
	}
	var out []*node
	for i := range n.kids {
		if strings.EqualFold(n.kids[i].name, name) {
			out = append(out, &n.kids[i])
		}
	}
	return out
}

// items lists the entries of a list, <list><item/><item/></list> in XML; in JSON it may
// also be an array or a single object without the item level.
func (n *node) items(list string) []*node {
	var out []*node
	for _, l := range n.all(list) {
		if inner := l.all("item"); len(inner) > 0 {
			out = append(out, inner...)
		} else if len(l.kids) > 0 {
			out = append(out, l)
		}
	}
	return out
}

func (n *node) str(name string) string {
	if c := n.child(name); c != nil {
		return c.text
	}
	return ""
}

func (n *node) add(kids ...node) { n.kids = append(n.kids, kids...) }

func text(name, value string) node { return node{name: name, text: value} }

func number(name string, value int64) node {
	return node{name: name, text: strconv.FormatInt(value, 10), number: true}
}

func decimal(name string, value float64) node {
	return node{name: name, text: strconv.FormatFloat(value, 'f', -1, 64), number: true}
}

func group(name string, kids ...node) node { return node{name: name, kids: kids} }

// optional leaves out an empty field.
func optional(name, value string) []node {
	if value == "" {
		return nil
	}
	return []node{text(name, value)}
}

// fields reads typed values out of a node and remembers the first that did not fit.
// An absent or empty field is the zero value.
type fields struct{ err error }

func (f *fields) fail(name, value string) {
	if f.err == nil {
		f.err = fmt.Errorf("%w: %s holds %.40q", ErrMalformed, name, value)
	}
}

func (f *fields) int64(n *node, name string) int64 {
	s := strings.TrimSpace(n.str(name))
	if s == "" {
		return 0
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f.fail(name, s)
	}
	return v
}

func (f *fields) int(n *node, name string) int {
	v := f.int64(n, name)
	if int64(int32(v)) != v {
		f.fail(name, n.str(name))
		return 0
	}
	return int(v)
}

func (f *fields) bool(n *node, name string) bool {
	switch s := strings.TrimSpace(n.str(name)); s {
	case "", "0", "false":
		return false
	case "1", "true":
		return true
	default:
		f.fail(name, s)
		return false
	}
}

func (f *fields) float(n *node, name string) float64 {
	s := strings.TrimSpace(n.str(name))
	if s == "" {
		return 0
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v-v != 0 { // NaN and the infinities are no coordinates
		f.fail(name, s)
		return 0
	}
	return v
}

// maxUnix is the last second of the year 9999: times beyond it overflow what a database keeps.
const maxUnix = 253402300799

func (f *fields) time(n *node, name string) time.Time {
	v := f.int64(n, name)
	if v < 0 || v > maxUnix {
		f.fail(name, n.str(name))
		return time.Time{}
	}
	if v == 0 {
		return time.Time{}
	}
	return time.Unix(v, 0).UTC()
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func boolNumber(name string, v bool) node {
	if v {
		return number(name, 1)
	}
	return number(name, 0)
}
