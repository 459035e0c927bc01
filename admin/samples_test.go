package admin

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/accounts"
	"hongyan/fans"
)

// sample is what a path parameter may be: the id of a thing of our account, and of one of the other account's.
type sample struct{ ours, theirs string }

// samples makes a thing for every path parameter of the API, in each account. All texts of the other account's hold theirMark. A new path parameter
// needs a line here; the tests from the document then cover its operations.
func samples(t *testing.T, w *world) map[string]sample {
	t.Helper()
	id := func(n int64) string { return strconv.FormatInt(n, 10) }
	out := map[string]sample{"account": {id(w.ours.ID), id(w.other.ID)}}

	ours, theirs := fans.NewSync(w.ours.ID), fans.NewSync(w.other.ID)
	require.NoError(t, w.o.Jobs.Create(t.Context(), ours))
	require.NoError(t, w.o.Jobs.Create(t.Context(), theirs))
	out["job"] = sample{id(ours.ID), id(theirs.ID)}

	// Tokens belong to members and not to accounts: the other one is somebody else's.
	other, _ := w.member("nobody", ScopeRead)
	of := func(member int64) string {
		found, err := w.api.members.FindTokens(t.Context(), member, 0, 1)
		require.NoError(t, err)
		return id(found[0].ID)
	}
	spare := &Token{MemberID: w.mira.ID, Name: "spare", Scopes: []Scope{ScopeRead}}
	_, err := w.api.members.CreateToken(t.Context(), spare)
	require.NoError(t, err)
	out["token"] = sample{id(spare.ID), of(other.ID)}
	// Components belong to no account: any member may use them.
	component := &accounts.Component{AppID: "wxc0ffee", Name: "开放平台", Secret: "component-secret", Callback: accounts.Callback{Token: "token-of-component", AESKeys: []string{strings.Repeat("k", 43)}}}
	require.NoError(t, w.o.Accounts.CreateComponent(t.Context(), component))
	out["component"] = sample{id(component.ID), id(component.ID)}
	w.fanSamples(out)
	w.webhookSamples(out)
	w.dripSamples(out)
	return out
}

// bodies are what operations accept whose body cannot be made up from its schema, by operation.
func bodies() map[string]any {
	return map[string]any{}
}
