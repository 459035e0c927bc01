package admin

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/require"

	"hongyan/internal/testdb"
)

func TestTheDocumentIsTheRoutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	var doc struct {
		OpenAPI string                                `json:"openapi"`
		Paths   map[string]map[string]json.RawMessage `json:"paths"`
	}
	w.ask(http.MethodGet, documentPath, nil, "Authorization", "").into(t, &doc)
	require.Regexp(t, `^3\.1\.`, doc.OpenAPI)
	var documented, routed []string
	for path, item := range doc.Paths {
		for method := range item {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	param := regexp.MustCompile(`:(\w+)`)
	for _, r := range w.app.GetRoutes(true) {
		if strings.HasPrefix(r.Path, prefixV1) && r.Method != http.MethodHead {
			routed = append(routed, r.Method+" "+param.ReplaceAllString(r.Path, "{$1}"))
		}
	}
	slices.Sort(documented)
	slices.Sort(routed)
	require.Equal(t, routed, documented)
	require.Len(t, documented, len(w.api.ops), "an operation is registered twice")
	require.NotContains(t, string(w.api.page.document), "$schema")
	require.NotContains(t, string(w.api.page.document), "ErrorModel")
}

func TestEveryOperationSaysWhatItNeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	for _, op := range w.api.ops {
		found := operationOf(w.api.huma.OpenAPI(), op)
		require.NotEmpty(t, op.Summary.ZH, op.ID)
		require.NotEmpty(t, op.Summary.EN, op.ID)
		require.NotEmpty(t, op.Tag, op.ID)
		require.Regexp(t, `^[a-z]+(-[a-z]+)*$`, op.ID)
		if op.ID != loginID {
			require.NotEmpty(t, op.Scope, op.ID)
			require.Contains(t, found.Security, map[string][]string{securityToken: {string(op.Scope)}}, op.ID)
		}
		asks := slices.Contains([]string{"log-out", "check-drip", "forecast-definition", "forecast-drip", "report-shadow"}, op.ID) // they change nothing that is kept for members
		require.Equal(t, op.Method == http.MethodGet || asks, op.Scope == ScopeRead, "%s: only reading is a read", op.ID)
		if op.Sends {
			require.Equal(t, ScopeSend, op.Scope, op.ID)
		}
		for _, p := range found.Parameters {
			if p.In == "path" {
				require.Contains(t, op.Path, "{"+p.Name+"}", op.ID)
			}
		}
	}
}

func TestNothingIsShownWithoutLoggingIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	g := &generator{rng: rand.New(rand.NewPCG(1, 1)), schemas: w.api.huma.OpenAPI().Components.Schemas, samples: samples(t, w)}
	wrong := map[string]string{"none": "", "other scheme": "Basic bWlyYTp4", "no token": "Bearer ", "unknown": "Bearer hy_" + newSecret()}
	for _, op := range w.api.ops {
		if op.Scope == "" {
			continue
		}
		for name, header := range wrong {
			r := w.ask(op.Method, g.path(op, false), nil, "Authorization", header, ownHeader, "1")
			require.Equal(t, http.StatusUnauthorized, r.status, "%s: %s", op.ID, name)
			require.Equal(t, problemPath+kindUnauthenticated, r.problem(t).Type)
			require.Equal(t, "Bearer", r.header.Get("WWW-Authenticate"))
		}
	}
}

func TestATokenDoesOnlyWhatItsScopesSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	g := &generator{rng: rand.New(rand.NewPCG(1, 1)), schemas: w.api.huma.OpenAPI().Components.Schemas, samples: samples(t, w)}
	for _, has := range allScopes() {
		_, w.token = w.member("only "+string(has), has)
		for _, op := range w.api.ops {
			if op.Scope == "" || op.Scope == has {
				continue
			}
			w.clock.Advance(time.Second)
			r := w.ask(op.Method, g.path(op, false), nil)
			require.Equal(t, http.StatusForbidden, r.status, "%s with %s", op.ID, has)
			require.Contains(t, r.problem(t).Detail, string(op.Scope))
		}
	}
}

// send makes one request to an operation.
func (g *generator) send(w *world, op *Op, foreign bool) *answer {
	found := operationOf(w.api.huma.OpenAPI(), op)
	body := g.body(found)
	if fixed, ok := bodies()[op.ID]; ok && !g.odd() {
		body = fixed
	}
	headers := []string{keyHeader, "k" + strconv.FormatInt(g.rng.Int64(), 36)}
	if op.Edits {
		headers = append(headers, "If-Match", `"1"`)
	}
	if g.odd() {
		headers = append(headers, pick(g, "If-Match", keyHeader, "Content-Type", "Accept", "Accept-Language", "If-None-Match", "X-Hongyan"),
			pick(g, `"`, "*", `W/"1"`, "text/plain", "en;q=x", ";;,,", strings.Repeat("k", 300), "application/json; charset=utf-8"))
	}
	w.clock.Advance(time.Second) // or the rates would refuse most of it
	return w.ask(op.Method, g.path(op, foreign)+g.query(found), body, headers...)
}

func TestNoRequestMakesAHandlerFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	w.o.Sandbox = &box{appid: w.sandboxed().AppID}
	w.mount()
	g := &generator{rng: rand.New(rand.NewPCG(7, 7)), schemas: w.api.huma.OpenAPI().Components.Schemas, samples: samples(t, w), wild: 0.3}
	inSandbox := map[string]sample{}
	maps.Copy(inSandbox, g.samples)
	inSandbox["account"] = sample{strconv.FormatInt(w.sandboxed().ID, 10), g.samples["account"].theirs}
	ours := g.samples
	for _, op := range w.api.ops {
		g.samples = ours
		if op.Tag == tagSandbox {
			g.samples = inSandbox
		}
		for range testdb.Seeds(t, 20) {
			r := g.send(w, op, false)
			require.Less(t, r.status, http.StatusInternalServerError, "%s: %s\n%s", op.ID, r.raw, w.log.String())
			if r.status >= http.StatusBadRequest {
				r.problem(t)
				continue
			}
			require.Empty(t, undocumented(t, w, op, r), "%s: %s", op.ID, r.raw)
		}
	}
}

// undocumented lists what an answer holds that the document does not say of it.
func undocumented(t *testing.T, w *world, op *Op, r *answer) []error {
	t.Helper()
	media := operationOf(w.api.huma.OpenAPI(), op).Responses[strconv.Itoa(r.status)].Content["application/json"]
	if media == nil {
		require.NotContains(t, r.header.Get("Content-Type"), "json", op.ID)
		return nil
	}
	var body any
	r.into(t, &body)
	var found huma.ValidateResult
	huma.Validate(w.api.huma.OpenAPI().Components.Schemas, media.Schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, body, &found)
	return found.Errors
}

func TestNothingOfAnotherAccountIsFoundOrShown(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		g := &generator{rng: rand.New(rand.NewPCG(3, 3)), schemas: w.api.huma.OpenAPI().Components.Schemas, samples: samples(t, w), theirs: true}
		param := regexp.MustCompile(`\{(\w+)\}`)
		before := shown(t, w, g)
		for _, op := range w.api.ops {
			params := param.FindAllStringSubmatch(op.Path, -1)
			for _, p := range params {
				require.Contains(t, g.samples, p[1], "%s: give samples_test.go a line for this parameter", op.ID)
			}
			r := g.send(w, op, true)
			if op.inAccount() {
				require.NotContains(t, string(r.raw), theirMark, op.ID)
			}
			if op.inAccount() && len(params) > 1 || op.Path == "/tokens/{token}" {
				require.Equal(t, http.StatusNotFound, r.status, "%s: %s", op.ID, r.raw)
				require.Empty(t, r.problem(t).Errors, "%s: it has to get as far as looking", op.ID)
			}
		}
		require.Equal(t, before, shown(t, w, g), "a request in our account changed the other one")
	})
}

// passing are figures that change with the time of day alone.
var passing = regexp.MustCompile(`"(seconds|now)":-?\d+`)

// shown is all that the API shows of the other account.
func shown(t *testing.T, w *world, g *generator) map[string]string {
	t.Helper()
	swapped := &generator{rng: g.rng, schemas: g.schemas, samples: map[string]sample{}, theirs: true}
	for name, s := range g.samples {
		swapped.samples[name] = sample{s.theirs, s.ours}
	}
	out := map[string]string{}
	for _, op := range w.api.ops {
		if op.inAccount() && op.Method == http.MethodGet {
			out[op.ID] = string(swapped.send(w, op, false).raw)
		}
	}
	require.Contains(t, out["get-account"], theirMark)
	for id, raw := range out {
		p := Problem{}
		if json.Unmarshal([]byte(raw), &p) == nil && p.RequestID != "" {
			out[id] = p.Type // each has a name of its own
			continue
		}
		out[id] = passing.ReplaceAllString(raw, "")
	}
	return out
}

func TestTheReferenceShowsEveryOperationInBothLanguages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	for _, language := range []string{"zh", "en"} {
		r := w.ask(http.MethodGet, referencePath, nil, "Authorization", "", "Accept-Language", language)
		require.Equal(t, http.StatusOK, r.status)
		require.NotContains(t, string(r.raw), "<script")
		require.NotRegexp(t, `(src|href)="https?:`, string(r.raw), "everything comes from here")
		for _, op := range w.api.ops {
			require.Contains(t, string(r.raw), `id="`+op.ID+`"`)
			require.Contains(t, string(r.raw), `<p>`+htmlOf(op.Summary.In(languageOf(language)))+`</p>`)
		}
	}
	require.Contains(t, string(w.api.page.page["zh"]), "quiet_hours[].start")
	r := w.ask(http.MethodGet, problemPath+"invalid", nil)
	require.Equal(t, referencePath+"#problem-invalid", r.header.Get("Location"))
}

func htmlOf(text string) string {
	return strings.NewReplacer("&", "&amp;", "'", "&#39;", `"`, "&#34;", "<", "&lt;", ">", "&gt;").Replace(text)
}
