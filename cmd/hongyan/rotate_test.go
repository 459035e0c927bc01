package main

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/accounts"
	"hongyan/internal/clock"
	"hongyan/internal/config"
)

// sealedInstall is an embedded installation with one account, and no process.
type sealedInstall struct {
	t       *testing.T
	dir     string
	environ []string
}

func newSealedInstall(t *testing.T, environ ...string) *sealedInstall {
	t.Helper()
	in := &sealedInstall{t: t, dir: t.TempDir(), environ: environ}
	require.NoError(t, in.open(func(s *Server) {
		require.NoError(t, s.Scheduler.Accounts.CreateAccount(t.Context(), &accounts.Account{
			AppID: "wx1", OriginalID: "gh_1", Name: "Coffee", Kind: accounts.KindService, Secret: "app-secret-text",
			Callback: accounts.Callback{Mode: accounts.ModePlain, Token: "token"},
		}))
	}))
	return in
}

func (in *sealedInstall) config() config.Config {
	in.t.Helper()
	cfg, _, err := config.Load([]string{"--data-dir", in.dir, "--sandbox", "off"}, in.environ, os.Stderr)
	require.NoError(in.t, err)
	return cfg
}

// open is what a process does at its start, as far as it gets.
func (in *sealedInstall) open(then func(*Server)) error {
	s := &Server{Config: in.config(), Clock: clock.System(), Log: slog.New(slog.DiscardHandler)}
	if err := s.Open(in.t.Context()); err != nil {
		return err
	}
	defer func() { require.NoError(in.t, s.Close()) }()
	then(s)
	return nil
}

// requireSecret starts a process and reads the account with it.
func (in *sealedInstall) requireSecret() {
	in.t.Helper()
	require.NoError(in.t, in.open(func(s *Server) {
		a, err := s.Scheduler.Accounts.FindAccountByAppID(in.t.Context(), "wx1")
		require.NoError(in.t, err)
		require.Equal(in.t, "app-secret-text", a.Secret)
	}))
}

// rotate runs the command.
func (in *sealedInstall) rotate() (code int, said string) {
	in.t.Helper()
	var out bytes.Buffer
	code = run(in.t.Context(), env{args: []string{"rotate-key", "--data-dir", in.dir, "--log-level", "error"}, environ: in.environ, out: &out, err: &out})
	return code, out.String()
}

func (in *sealedInstall) key(name string) []byte {
	in.t.Helper()
	key, err := keyFiles{in.dir}.read(name)
	require.NoError(in.t, err)
	return key
}

// reseal does what the command does between the files' changes, all of it or some.
func (in *sealedInstall) reseal() {
	in.t.Helper()
	require.NoError(in.t, in.open(func(s *Server) {
		_, err := accounts.Rotation{DB: s.storage.db, Vault: s.storage.vault}.Run(in.t.Context())
		require.NoError(in.t, err)
	}))
}

func TestARotationOfTheEmbeddedKeyKilledAfterAnyStepIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	for name, killed := range map[string]func(*testing.T, *sealedInstall){
		"before everything": func(*testing.T, *sealedInstall) {},
		"with half a copy of the old key": func(t *testing.T, in *sealedInstall) {
			require.NoError(t, os.WriteFile(filepath.Join(in.dir, previousKeyFile+".new"), []byte("half"), 0o600))
		},
		"with the old key kept": func(t *testing.T, in *sealedInstall) {
			require.NoError(t, keyFiles{in.dir}.write(previousKeyFile, in.key(keyFile)))
		},
		"with half of the new key": func(t *testing.T, in *sealedInstall) {
			require.NoError(t, keyFiles{in.dir}.write(previousKeyFile, in.key(keyFile)))
			require.NoError(t, os.WriteFile(filepath.Join(in.dir, keyFile+".new"), []byte("half"), 0o600))
		},
		"with the new key in place": func(t *testing.T, in *sealedInstall) {
			begun, err := keyFiles{in.dir}.change()
			require.NoError(t, err)
			require.True(t, begun)
		},
		"with everything sealed again": func(t *testing.T, in *sealedInstall) {
			_, err := keyFiles{in.dir}.change()
			require.NoError(t, err)
			in.reseal()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newSealedInstall(t)
			old := in.key(keyFile)
			killed(t, in)
			in.requireSecret()
			code, said := in.rotate()
			require.Zero(t, code, said)
			require.Contains(t, said, "nothing needs the previous key any more")
			require.NotEqual(t, old, in.key(keyFile))
			require.Nil(t, in.key(previousKeyFile))
			in.requireSecret()
		})
	}
}

func TestAStartWithoutTheRightKeySaysWhichOneIsMissing(t *testing.T) {
	t.Parallel()
	in := newSealedInstall(t)
	right := in.key(keyFile)
	named, err := accounts.NewVault(right)
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(in.dir, keyFile)))
	refused := in.open(func(*Server) {})
	require.ErrorContains(t, refused, "accounts.secret of 1 (sealed with key "+named.Fingerprint()+")")
	require.ErrorContains(t, refused, "put back the secret.key")
	code, said := in.rotate()
	require.Equal(t, 1, code, "a rotation would make the missing key look as if it had never been")
	require.Contains(t, said, named.Fingerprint())
	require.Nil(t, in.key(previousKeyFile))

	require.NoError(t, keyFiles{in.dir}.write(keyFile, right))
	in.requireSecret()
	require.NoError(t, os.WriteFile(filepath.Join(in.dir, keyFile), right[:7], 0o600))
	require.ErrorContains(t, in.open(func(*Server) {}), "secret.key is not a secret key: it has 7 bytes")
}

func TestAConfiguredKeyIsChangedWithThePreviousOneBesideIt(t *testing.T) {
	t.Parallel()
	name := func(b byte) string {
		return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, accounts.KeySize))
	}
	in := newSealedInstall(t, "HONGYAN_SECRET_KEY="+name(1))
	in.environ = []string{"HONGYAN_SECRET_KEY=" + name(2)}
	require.ErrorContains(t, in.open(func(*Server) {}), "HONGYAN_SECRET_KEY_PREVIOUS")

	in.environ = append(in.environ, "HONGYAN_SECRET_KEY_PREVIOUS="+name(1))
	in.requireSecret()
	code, said := in.rotate()
	require.Zero(t, code, said)
	require.True(t, strings.HasPrefix(said, "4 secrets sealed again"), said)
	require.Contains(t, said, "unset HONGYAN_SECRET_KEY_PREVIOUS")

	in.environ = in.environ[:1]
	in.requireSecret()
	code, said = in.rotate()
	require.Zero(t, code, said)
	require.True(t, strings.HasPrefix(said, "0 secrets sealed again"), said)
	require.Nil(t, in.key(keyFile), "a configured key makes no files")
}

func TestARotationDoesNotBeginBesideAnEmbeddedServer(t *testing.T) {
	t.Parallel()
	in := newSealedInstall(t)
	before := in.key(keyFile)
	require.NoError(t, in.open(func(*Server) {
		code, said := in.rotate()
		require.Equal(t, 1, code)
		require.Contains(t, said, "another Hongyan process uses this data directory")
	}))
	require.Equal(t, before, in.key(keyFile))
	require.Nil(t, in.key(previousKeyFile))
}
