package wechat_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestATokenFromBeforeAWithdrawalIsReplacedWhenTheAccountIsAuthorisedAgain(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	w.authorise()
	fan := w.fan()
	require.NoError(t, w.send(fan))
	_, err := w.sim.Withdraw(t.Context(), componentAppID, authorisedAppID)
	require.NoError(t, err)
	w.authorise()
	require.NoError(t, w.send(fan), "this process still held the former token")
	require.Len(t, w.sim.AcceptedTexts(fan), 2)
}

func TestTokensOfTheTwoConnectionsOfAnAccountAreNotMixedUp(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	w.authorise()
	manual := wechat.Account{ID: w.acc.ID, AppID: authorisedAppID, Secret: "never-told"}
	own, err := w.client.Token(t.Context(), manual)
	require.NoError(t, err)
	granted, err := w.client.Token(t.Context(), w.acc)
	require.NoError(t, err)
	require.NotEqual(t, own, granted, "a token by the secret would outlive a withdrawal")
	again, err := w.client.Token(t.Context(), manual)
	require.NoError(t, err)
	require.Equal(t, own, again)
}
