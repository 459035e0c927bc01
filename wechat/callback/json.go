package callback

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// parseJSON reads a push in JSON into the same tree that XML gives. Numbers keep their
// digits: message ids are beyond what a float holds.
func parseJSON(body string) (node, error) {
	p := &jsonParser{dec: json.NewDecoder(strings.NewReader(body))}
	p.dec.UseNumber()
	root := node{name: "xml"}
	var holder node
	if err := p.value("xml", &holder, 0); err != nil {
		return node{}, err
	}
	if len(holder.kids) != 1 || !strings.HasPrefix(strings.TrimSpace(body), "{") {
		return node{}, fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	root.kids = holder.kids[0].kids
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return node{}, fmt.Errorf("%w: text after the JSON object", ErrMalformed)
	}
	return root, nil
}

type jsonParser struct {
	dec   *json.Decoder
	nodes int
}

func (p *jsonParser) token() (json.Token, error) {
	t, err := p.dec.Token()
	if err != nil {
		return nil, fmt.Errorf("%w: bad JSON at byte %d", ErrMalformed, p.dec.InputOffset())
	}
	return t, nil
}

// value reads one value and adds it to parent under name; an array adds each entry.
func (p *jsonParser) value(name string, parent *node, depth int) error {
	t, err := p.token()
	if err != nil {
		return err
	}
	p.nodes++
	if depth > maxDepth || p.nodes > maxNodes {
		return fmt.Errorf("%w: too many or too deeply nested fields", ErrTooLarge)
	}
	switch v := t.(type) {
	case json.Delim:
		if v == '[' {
			return p.array(name, parent, depth)
		}
		return p.object(name, parent, depth)
	case string:
		parent.add(text(name, v))
	case json.Number:
		parent.add(node{name: name, text: v.String(), number: true})
	case bool:
		parent.add(boolNumber(name, v))
	case nil:
	}
	return nil
}

func (p *jsonParser) array(name string, parent *node, depth int) error {
	for p.dec.More() {
		if err := p.value(name, parent, depth+1); err != nil {
			return err
		}
	}
	_, err := p.token()
	return err
}

func (p *jsonParser) object(name string, parent *node, depth int) error {
	n := node{name: name}
	for p.dec.More() {
		key, err := p.token()
		if err != nil {
			return err
		}
		k, ok := key.(string)
		if !ok {
			return fmt.Errorf("%w: bad JSON at byte %d", ErrMalformed, p.dec.InputOffset())
		}
		// The platform's own samples have names with a leading blank (" OpenID").
		if err := p.value(strings.TrimSpace(k), &n, depth+1); err != nil {
			return err
		}
	}
	parent.add(n)
	_, err := p.token()
	return err
}

// appendJSON renders the children of n as an object; a run of one name is an array.
func appendJSON(dst []byte, n *node) []byte {
	dst = append(dst, '{')
	for i := 0; i < len(n.kids); {
		run := 1
		for i+run < len(n.kids) && n.kids[i+run].name == n.kids[i].name {
			run++
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONString(dst, n.kids[i].name)
		dst = append(dst, ':')
		dst = appendJSONRun(dst, n.kids[i:i+run])
		i += run
	}
	return append(dst, '}')
}

func appendJSONRun(dst []byte, run []node) []byte {
	if len(run) > 1 || run[0].name == "item" {
		dst = append(dst, '[')
		for i := range run {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSONValue(dst, &run[i])
		}
		return append(dst, ']')
	}
	return appendJSONValue(dst, &run[0])
}

func appendJSONValue(dst []byte, n *node) []byte {
	switch {
	case len(n.kids) > 0:
		return appendJSON(dst, n)
	case n.number:
		return append(dst, n.text...)
	default:
		return appendJSONString(dst, n.text)
	}
}

// appendJSONString quotes s without \u escapes, which the platform does not read
// (platform.md 0.3); control characters that have no other form are left out.
func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r == '\r':
			dst = append(dst, '\\', 'r')
		case r == '\t':
			dst = append(dst, '\\', 't')
		case r < 0x20:
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
