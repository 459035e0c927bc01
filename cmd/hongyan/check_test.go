package main

import (
	"bytes"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
	"hongyan/wechat/simulator"
)

// checkUpOf runs `hongyan check` and returns what it prints, and its exit code.
func (in *install) checkUpOf(args ...string) (out string, code int) {
	in.t.Helper()
	in.close() // the embedded storage has one user
	environ := slices.DeleteFunc(in.environ(), func(pair string) bool { return strings.HasPrefix(pair, childVariable) })
	var printed, failed bytes.Buffer
	code = run(in.t.Context(), env{
		args: append([]string{"check"}, args...), environ: append(environ, "HONGYAN_LOG_LEVEL=error", "HONGYAN_PUBLIC_URL=https://h.example.com"), out: &printed, err: &failed,
	})
	return printed.String() + failed.String(), code
}

func TestCheckSaysInBothLanguagesWhatIsWrongUntilItIsRepaired(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, at servers) {
		in := newInstall(t, setup{servers: at, fans: 1, follow: true, rate: 100, inFlight: 10})
		set := func(change func(*simulator.Account)) {
			require.NoError(t, in.sim.UpdateAccount(in.account.AppID, change))
		}
		set(func(a *simulator.Account) { a.Whitelist = []string{"192.0.2.1"} })
		out, code := in.checkUpOf()
		require.Equal(t, 1, code, out)
		for _, text := range []string{
			"✗ ip_not_listed · errcode 40164", "把 127.0.0.1 加入 API IP 白名单", "Enter 127.0.0.1 into the API IP whitelist",
			"https://h.example.com/wechat/callback/wx0123456789abcdef", "安全模式", "Token: " + sandboxToken,
		} {
			require.Contains(t, out, text)
		}
		require.NotContains(t, out, in.account.Secret)
		require.NotContains(t, out, sandboxAESKey)
		zh, _ := in.checkUpOf("--lang=zh", "--account", in.account.AppID)
		require.NotContains(t, zh, "whitelist")
		en, _ := in.checkUpOf("--lang", "en", "--account", "1")
		require.NotContains(t, en, "白名单")

		in.follows(nil)
		set(func(a *simulator.Account) { a.Whitelist = nil })
		out, code = in.checkUpOf()
		require.Equal(t, 0, code, out)
		require.Contains(t, out, "✓ pushes_ok")
		require.NotContains(t, out, "✗")

		out, code = in.checkUpOf("--lang", "fr")
		require.Equal(t, 1, code)
		require.Contains(t, out, "lang")
		out, code = in.checkUpOf("--account", "wx404")
		require.Equal(t, 1, code)
		require.Contains(t, out, "wx404")
	})
}

func TestCheckNamesWhatTheRefusalsOfPushesTell(t *testing.T) {
	t.Parallel()
	in := newInstall(t, setup{fans: 1, follow: true, rate: 100, inFlight: 10})
	right := simulator.Callback{
		URL: "http://callback.invalid/wechat/callback/" + in.account.AppID, Token: sandboxToken, AESKey: sandboxAESKey, Mode: simulator.ModeSafe,
	}
	for code, harm := range map[string]func(*simulator.Account){
		"✗ aes_key_differs":        func(a *simulator.Account) { a.Callback.AESKey = strings.Repeat("k", 42) + "1" },
		"! callback_token_differs": func(a *simulator.Account) { a.Callback.Token = "another" },
		"! callback_mode_differs":  func(a *simulator.Account) { a.Callback.Mode = simulator.ModePlain },
		"✗ original_id_differs":    func(a *simulator.Account) { a.OriginalID = "gh_another" },
	} {
		in.follows(harm)
		out, _ := in.checkUpOf()
		require.Contains(t, out, code)
		in.follows(func(a *simulator.Account) { a.Callback, a.OriginalID = right, in.account.OriginalID })
		out, exit := in.checkUpOf()
		require.Zero(t, exit, out)
	}
}

// follows lets the fan act while a server runs, with the account as change left it on the platform.
func (in *install) follows(change func(*simulator.Account)) {
	t := in.t
	t.Helper()
	in.close()
	s := &Server{Config: in.config(), Clock: clock.System(), Log: slog.New(slog.DiscardHandler)}
	require.NoError(t, s.Open(t.Context()))
	require.NoError(t, s.Start(t.Context()))
	if change != nil {
		require.NoError(t, in.sim.UpdateAccount(in.account.AppID, change))
	}
	to, err := url.Parse(s.URL())
	require.NoError(t, err)
	in.targets.Store(&[]*url.URL{to})
	_, err = in.sim.Do(t.Context(), simulator.Act{OpenID: in.openids[0], Kind: simulator.ActText, Text: "hello"})
	require.NoError(t, err)
	require.NoError(t, s.Stop(t.Context()))
	require.NoError(t, s.Close())
}
