package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"hongyan/internal/fault"
)

// exchange is one request and what is expected of its answer.
type exchange struct {
	api    string
	method string     // "" means POST
	query  url.Values // besides the access token
	form   string     // Content-Type of the body, "" means JSON
	body   []byte
	token  string
	// tokenName is the query parameter of token, "" for "access_token".
	tokenName string

	strict bool  // the answer must hold errcode: without it a send proves nothing
	out    any   // nil, or where the rest of the answer goes
	file   *File // nil, or where an answer goes that is a file
	// refusal is nil, or where the rest of a refusal goes: what the platform tells beside the errcode.
	refusal any
}

// File is a file that goes to the platform or comes from it.
type File struct {
	Name string
	Type string // MIME type
	Body []byte
}

// post makes a call with a JSON body. in is nil for an empty object; out is nil when nothing but errcode is expected.
func (c *Client) post(ctx context.Context, acc Account, api string, in, out any) error {
	body, err := encode(in)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "write the body of %s", api)
	}
	return c.call(ctx, acc, &exchange{api: api, body: body, strict: out == nil, out: out})
}

// get makes a call without a body.
func (c *Client) get(ctx context.Context, acc Account, api string, query url.Values, out any) error {
	return c.call(ctx, acc, &exchange{api: api, method: http.MethodGet, query: query, strict: out == nil, out: out})
}

// upload sends a file as the field "media" of a form, with further fields of text.
func (c *Client) upload(ctx context.Context, acc Account, api string, up upload, out any) error {
	body, form, err := up.encode()
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "write the body of %s", api)
	}
	return c.call(ctx, acc, &exchange{api: api, query: up.query, form: form, body: body, strict: out == nil, out: out})
}

// upload is what goes into a form.
type upload struct {
	query  url.Values
	file   File
	fields map[string]string
}

func (u *upload) encode() (body []byte, form string, err error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	header := textproto.MIMEHeader{}
	header.Set("Content-Disposition", fmt.Sprintf(`form-data; name="media"; filename=%q; filelength=%d`, u.file.Name, len(u.file.Body)))
	header.Set("Content-Type", u.file.Type)
	part, err := w.CreatePart(header)
	if err != nil {
		return nil, "", err
	}
	if _, err := part.Write(u.file.Body); err != nil {
		return nil, "", err
	}
	for name, value := range u.fields {
		if err := w.WriteField(name, value); err != nil {
			return nil, "", err
		}
	}
	if err := w.Close(); err != nil {
		return nil, "", err
	}
	return b.Bytes(), w.FormDataContentType(), nil
}

// encode writes JSON as the platform wants it: it shows \u escapes of <, > and & to the fan as they are (platform.md 0.3).
func encode(in any) ([]byte, error) {
	if in == nil {
		return []byte("{}"), nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(in); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// withoutProof is the failure of a call whose answer tells of no error, and lacks what would prove that the call was done.
func withoutProof(api, name string) *Error {
	return &Error{API: api, HTTPStatus: httpOK, Outcome: OutcomeLost, Err: fmt.Errorf("the answer has no %s", name)}
}

func isJSON(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err != nil || kind == "application/json" || strings.HasPrefix(kind, "text/")
}

func attachmentName(h http.Header) string {
	_, params, err := mime.ParseMediaType(h.Get("Content-Disposition"))
	if err != nil {
		return ""
	}
	return params["filename"]
}
