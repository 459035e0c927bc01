package admin

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/accounts"
	"hongyan/internal/fault"
	"hongyan/internal/testdb"
)

// box is a sandbox with three fans, whose first has received five messages. The real one is joined in cmd, and driven by the tests there.
type box struct {
	appid  string
	faults map[string]SandboxFaults
}

func (b *box) Fans(_ context.Context, appid string, skip, n int) ([]SandboxFan, error) {
	if appid != b.appid {
		return nil, fault.New(fault.NotFound, "not here")
	}
	var out []SandboxFan
	for i := skip; i < min(3, skip+n); i++ {
		out = append(out, SandboxFan{OpenID: "fan" + strconv.Itoa(i)})
	}
	return out, nil
}

func (b *box) Act(_ context.Context, appid string, act *SandboxAct) (SandboxPush, error) {
	if appid != b.appid || act.OpenID != "fan0" {
		return SandboxPush{}, fault.New(fault.NotFound, "not here")
	}
	return SandboxPush{Outcome: "replied", Reply: "you said " + act.Text}, nil
}

func (b *box) Arrivals(_ context.Context, appid, openid string) ([]SandboxArrival, error) {
	if appid != b.appid || openid != "fan0" {
		return nil, fault.New(fault.NotFound, "not here")
	}
	var out []SandboxArrival
	for i := range 5 {
		out = append(out, SandboxArrival{Seq: uint64(i + 1), Content: strconv.Itoa(i)})
	}
	return out, nil
}

func (b *box) Faults(context.Context) ([]SandboxFaults, error) {
	var out []SandboxFaults
	for _, f := range b.faults {
		out = append(out, f)
	}
	return out, nil
}

func (b *box) SetFaults(_ context.Context, f *SandboxFaults) error {
	b.faults = map[string]SandboxFaults{f.Path: *f}
	return nil
}

func (b *box) Now(context.Context) time.Time { return time.UnixMilli(5000) }

func (b *box) Advance(context.Context, time.Duration) error {
	return fault.New(fault.Conflict, "the clock is real")
}

// sandboxed finds the world's sandbox account, or makes it.
func (w *world) sandboxed() *accounts.Account {
	w.t.Helper()
	if w.inside == nil {
		w.inside = w.account("wx00000000000000c3", "沙箱", func(a *accounts.Account) { a.Sandbox = true })
	}
	return w.inside
}

func TestASandboxAccountsFansAreActedByMembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	w.o.Sandbox = &box{appid: w.sandboxed().AppID}
	w.mount()
	at := prefixV1 + "/accounts/" + strconv.FormatInt(w.sandboxed().ID, 10) + "/sandbox"

	var push SandboxPush
	w.ask(http.MethodPost, at+"/acts", map[string]any{"openid": "fan0", "kind": "text", "text": "hi"}).into(t, &push)
	require.Equal(t, "you said hi", push.Reply)
	require.Equal(t, http.StatusNotFound, w.ask(http.MethodPost, at+"/acts", map[string]any{"openid": "x", "kind": "follow"}).status)
	require.Equal(t, "kind", w.ask(http.MethodPost, at+"/acts", map[string]any{"openid": "fan0", "kind": "fly"}).problem(t).Errors[0].Field)

	var all []string
	for path := at + "/arrivals?openid=fan0&limit=2"; path != ""; {
		var page Page[SandboxArrival]
		w.ask(http.MethodGet, path, nil).into(t, &page)
		for _, x := range page.Items {
			all = append(all, x.Content)
		}
		if path = ""; page.Next != "" {
			path = at + "/arrivals?openid=fan0&limit=2&cursor=" + page.Next
		}
	}
	require.Equal(t, []string{"0", "1", "2", "3", "4"}, all)

	var page Page[SandboxFan]
	w.ask(http.MethodGet, at+"/fans?limit=2", nil).into(t, &page)
	require.Len(t, page.Items, 2)
	w.ask(http.MethodGet, at+"/fans?limit=2&cursor="+page.Next, nil).into(t, &page)
	require.Equal(t, "fan2", page.Items[0].OpenID)

	require.Equal(t, http.StatusOK, w.ask(http.MethodPut, at+"/faults", map[string]any{"path": "/cgi-bin/token", "busy": 0.5}).status)
	require.Contains(t, string(w.ask(http.MethodGet, at+"/faults", nil).raw), `"busy":0.5`)
	require.Equal(t, http.StatusConflict, w.ask(http.MethodPost, at+"/clock", map[string]any{"seconds": 5}).status)
}

func TestOnlySandboxAccountsHaveASandbox(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	outside, inside := prefixV1+"/accounts/"+strconv.FormatInt(w.ours.ID, 10), prefixV1+"/accounts/"+strconv.FormatInt(w.sandboxed().ID, 10)
	require.Contains(t, w.ask(http.MethodGet, inside+"/sandbox/fans", nil).problem(t).Detail, "HONGYAN_SANDBOX", "this process has none")
	w.o.Sandbox = &box{appid: w.ours.AppID}
	w.mount()
	for _, op := range w.api.ops {
		if op.Tag == tagSandbox && op.Method == http.MethodGet {
			r := w.ask(http.MethodGet, outside+op.Path[len(inAccount):]+"?openid=fan0", nil)
			require.Contains(t, []int{http.StatusConflict, http.StatusUnprocessableEntity}, r.status, op.ID)
		}
	}
	require.Equal(t, http.StatusConflict, w.ask(http.MethodPost, outside+"/sandbox/acts", map[string]any{"openid": "fan0", "kind": "follow"}).status)
}
