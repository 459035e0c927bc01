package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/internal/lang"
	"hongyan/internal/testdb"
	"hongyan/wechat"
)

// failing registers an operation that fails in a way of its own.
func (w *world) failing(id string, fail func() error) string {
	register(w.api, Op{ID: id, Method: http.MethodGet, Path: "/test/" + id, Tag: "Test", Scope: ScopeRead, Summary: lang.Text{ZH: "测试", EN: "Test"}},
		func(context.Context, *Call, *none) (*none, error) { return nil, fail() })
	return prefixV1 + "/test/" + id
}

func TestAProblemIsSaidInTheCallersLanguage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	path := prefixV1 + "/accounts"
	body := `{"appid":"wx1","original_id":"gh_1","name":"n","kind":"other","secret":"s","callback":{"mode":"safe","token":"ab","aes_keys":["x"],"color":"red"}}`
	for header, want := range map[string]struct{ title, message string }{
		"":                        {"内容有误", "没有这个字段，请删除或更正名称"},
		"zh-CN,zh;q=0.9,en;q=0.8": {"内容有误", "没有这个字段，请删除或更正名称"},
		"fr":                      {"内容有误", "没有这个字段，请删除或更正名称"},
		"en-GB":                   {"Something is not valid", "there is no such field; remove it, or correct its name"},
		"fr, zh;q=0.2, en;q=0.7":  {"Something is not valid", "there is no such field; remove it, or correct its name"},
	} {
		r := w.ask(http.MethodPost, path, body, "Accept-Language", header)
		require.Equal(t, http.StatusUnprocessableEntity, r.status)
		p := r.problem(t)
		require.Equal(t, "/api/problems/invalid", p.Type)
		require.Equal(t, want.title, p.Title, header)
		require.Contains(t, p.Errors, FieldProblem{Field: "callback.color", Rule: "unknown_field", Message: want.message}, header)
		require.Contains(t, p.Detail, "callback.color")
		rules := map[string]string{}
		for _, e := range p.Errors {
			rules[e.Field] = e.Rule
		}
		require.Equal(t, map[string]string{"callback.color": "unknown_field", "callback.token": "length", "kind": "one_of"}, rules)
		require.Equal(t, p.RequestID, r.header.Get(fiber.HeaderXRequestID))
	}
}

func TestWhatARoomRefusesHasTheSameShape(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	body := `{"appid":"wx1","original_id":"gh_1","name":"n","kind":"service","secret":"s","callback":{"mode":"safe","token":"abc","aes_keys":["x"]}}`
	p := w.ask(http.MethodPost, prefixV1+"/accounts", body).problem(t)
	require.Equal(t, []FieldProblem{{Field: "callback.aes_keys[0]", Rule: "length", Message: "EncodingAESKey 应为 43 个字符，现在是 1 个"}}, p.Errors)
}

func TestABodyThatCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	path := prefixV1 + "/accounts"
	for _, body := range []string{"{", "", "\xff"} {
		r := w.ask(http.MethodPost, path, body)
		require.Equal(t, http.StatusBadRequest, r.status, "%q", body)
		require.Equal(t, problemPath+kindMalformed, r.problem(t).Type)
	}
	require.Equal(t, http.StatusUnsupportedMediaType, w.ask(http.MethodPost, path, "<a/>", "Content-Type", "text/xml").status)
	r := w.ask(http.MethodGet, path, nil, "Accept", ";;,,")
	require.Equal(t, http.StatusOK, r.status, "huma's reading of such a header panics")
}

func TestAProblemOfWeChatHasItsCodeAndMeaning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	refused := &wechat.Error{API: "/cgi-bin/tags/create", Code: 45157, Msg: "invalid tag name hint: [x]", RID: "rid-1"}
	path := w.failing("wechat", func() error { return fault.Wrap(fault.Conflict, refused, "the tag could not be made") })
	p := w.ask(http.MethodGet, path, nil, "Accept-Language", "en").problem(t)
	require.Equal(t, http.StatusConflict, p.Status)
	require.Equal(t, &WechatProblem{ErrCode: 45157, ErrMsg: "invalid tag name hint: [x]", RID: "rid-1", Meaning: wechat.CodeWords(45157, lang.EN)}, p.Wechat)
	require.Nil(t, w.ask(http.MethodGet, prefixV1+"/accounts/99", nil).problem(t).Wechat)
}

func TestTheTextOfAnInternalErrorStaysInTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	for name, err := range map[string]error{
		"coded": fault.New(fault.Internal, "table members has password %s", "hunter2"),
		"bare":  errors.New("dial tcp: hunter2"),
	} {
		r := w.ask(http.MethodGet, w.failing("internal-"+name, func() error { return err }), nil)
		require.Equal(t, http.StatusInternalServerError, r.status)
		require.NotContains(t, string(r.raw), "hunter2")
		require.Contains(t, w.log.String(), "hunter2")
		require.Contains(t, w.log.String(), r.problem(t).RequestID)
	}
}

func TestAPanicIsAnsweredAndLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	r := w.ask(http.MethodGet, w.failing("panic", func() error { panic("hunter2") }), nil)
	require.Equal(t, http.StatusInternalServerError, r.status)
	require.NotContains(t, string(r.raw), "hunter2")
	require.Equal(t, problemPath+"internal", r.problem(t).Type)
	require.Contains(t, w.log.String(), "hunter2")
}

func TestOneTableSaysWhichStatusAnErrorHas(t *testing.T) {
	t.Parallel()
	for want, err := range map[int]error{
		http.StatusUnprocessableEntity:  fault.BadField("a", "b", "c"),
		http.StatusNotFound:             fault.New(fault.NotFound, "x"),
		http.StatusConflict:             fault.New(fault.Conflict, "x"),
		http.StatusForbidden:            fault.New(fault.Forbidden, "x"),
		http.StatusServiceUnavailable:   fault.New(fault.Unavailable, "x"),
		http.StatusInternalServerError:  errors.New("x"),
		http.StatusPreconditionFailed:   stale(3),
		http.StatusPreconditionRequired: refuse(kindUnconditional, fault.New(fault.Invalid, "x")),
		http.StatusTeapot:               fiber.NewError(http.StatusTeapot),
	} {
		require.Equal(t, want, StatusOf(err))
	}
	seen := map[string]bool{}
	for _, k := range kinds {
		require.False(t, seen[k.name], k.name)
		seen[k.name] = true
		require.NotEmpty(t, k.title.ZH)
		require.NotEmpty(t, k.title.EN)
	}
	for _, code := range []fault.Code{fault.Invalid, fault.NotFound, fault.Conflict, fault.Forbidden, fault.Unavailable, fault.Internal} {
		require.True(t, seen[string(code)], code)
	}
}

func TestAnUnknownAddressIsAProblemToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	app := fiber.New(fiber.Config{DisableStartupMessage: true, Immutable: true, ErrorHandler: func(c *fiber.Ctx, err error) error { return w.api.Failed(c, err) }})
	w.app, w.api = app, Mount(app, w.o)
	p := w.ask(http.MethodGet, "/api/v2/x", nil).problem(t)
	require.Equal(t, problemPath+"not_found", p.Type)
	require.Equal(t, "这个地址没有内容，请查看 "+referencePath, p.Detail, "nothing was removed there")
	require.True(t, Owns("/api"))
	require.True(t, Owns("/api/v1"))
	require.False(t, Owns("/apiary"))
}

func TestEachComplaintOfHumasHasOurWords(t *testing.T) {
	t.Parallel()
	for message, rule := range map[string]string{
		"unexpected property":                                           "unknown_field",
		"unknown query parameter":                                       "unknown_field",
		"required query parameter is missing":                           "required",
		"expected required property name to be present":                 "required",
		`expected value to be one of "a, b"`:                            "one_of",
		"expected number >= 1":                                          "range",
		"expected number <= 200":                                        "range",
		"expected number > 0":                                           "range",
		"expected number < 9":                                           "range",
		"expected number":                                               "type",
		"expected integer":                                              "type",
		"invalid integer":                                               "type",
		"expected boolean":                                              "type",
		"expected string":                                               "type",
		"expected array":                                                "type",
		"expected object":                                               "type",
		"expected length >= 3":                                          "length",
		"expected length <= 3":                                          "length",
		"expected array length >= 3":                                    "count",
		"expected array length <= 3":                                    "count",
		"expected array items to be unique":                             "unique",
		"expected string to match pattern ^a$":                          "pattern",
		"expected string to be RFC 3339 date":                           "format",
		"expected string to match pattern ^[a-z_]*$":                    "pattern",
		"expected string to match pattern ^[0-9]*$":                     "pattern",
		"json: cannot unmarshal number 1.5 into Go value of type int64": "type",
		"something new":                                                 "invalid",
	} {
		err := fieldError(&huma.ErrorDetail{Location: "body.items[2].x", Message: message})
		f := fault.Fields(err)
		require.Len(t, f, 1)
		require.Equal(t, rule, f[0].Rule, message)
		require.True(t, strings.HasPrefix(f[0].Field, "items[2].x"), f[0].Field)
		require.Regexp(t, `\p{Han}`, fault.Words(err, lang.ZH))
	}
	require.Equal(t, "items[2].x.name", fault.Fields(fieldError(&huma.ErrorDetail{Location: "body.items[2].x", Message: "expected required property name to be present"}))[0].Field)
	require.Equal(t, "name", fault.Fields(fieldError(&huma.ErrorDetail{Location: "body", Message: "expected required property name to be present"}))[0].Field)
}

func TestABrokenBodyIsSaidWithItsPlaceAndWithoutTheWordsOfGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	for body, want := range map[string]FieldProblem{
		`{"name":}`:         {Field: "body", Rule: "json", Message: "这里不是有效的 JSON，从第 9 个字节起无法识别，请检查格式"},
		`"{"`:               {Field: "body", Rule: "type", Message: "这里应为对象"},
		`{"kind":"service"`: {Field: "body", Rule: "json", Message: "这里不是有效的 JSON，从第 17 个字节起无法识别，请检查格式"},
	} {
		p := w.ask(http.MethodPost, prefixV1+"/accounts", body).problem(t)
		require.Equal(t, []FieldProblem{want}, p.Errors, body)
	}
	err := fieldError(&huma.ErrorDetail{Location: "body", Message: "json: cannot unmarshal number 1.5 into Go struct field reportEventIn.a.fan_id of type int64"})
	require.Equal(t, "a.fan_id: a number cannot stand here", err.Error())
}

func TestAParameterThatIsGivenTwiceIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	r := w.ask(http.MethodGet, prefixV1+"/accounts?sandbox=true&kind=service&sandbox=false", nil, "Accept-Language", "en")
	require.Equal(t, http.StatusUnprocessableEntity, r.status)
	require.Equal(t, []FieldProblem{{Field: "query.sandbox", Rule: "repeated", Message: "this is there more than once; give it one value"}}, r.problem(t).Errors)
	require.Equal(t, http.StatusOK, w.ask(http.MethodGet, prefixV1+"/accounts?sandbox=true&kind=service", nil).status)
}
