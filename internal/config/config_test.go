package config_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/config"
	"hongyan/internal/fault"
)

const hush = "hush-hush"

var (
	key      = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	previous = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("p", 32)))
)

func load(t *testing.T, environ ...string) (config.Config, error) {
	t.Helper()
	c, _, err := config.Load(nil, environ, io.Discard)
	return c, err
}

func TestNothingSetIsTheEmbeddedDefault(t *testing.T) {
	t.Parallel()
	c, err := load(t, "PATH=/bin", "HONGYAN_ADDR=", "HONGYAN_TEST_MYSQL_DSN=x", "HONGYAN_BENCH_X=1")
	require.NoError(t, err)
	require.Equal(t, config.Config{
		Addr: "127.0.0.1:8080", DataDir: "./data", Role: config.RoleAll, LogLevel: slog.LevelInfo, LogFormat: "text",
		ShutdownTimeout: 25 * time.Second, Sandbox: config.Auto, Workers: 50, WebhooksInside: config.Off,
	}, c)
	require.True(t, c.Embedded())
	require.Nil(t, c.Key())
}

func TestFlagBeatsEnvironmentBeatsFileBeatsDefault(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hongyan.yaml")
	require.NoError(t, os.WriteFile(path, []byte("addr: :1\nlog_level: warn\nworkers: 7\nrole: all\n"), 0o600))
	c, rest, err := config.Load([]string{"--addr=:3", "--public-url", "https://h.example.com/", "tail"},
		[]string{"HONGYAN_CONFIG=" + path, "HONGYAN_ADDR=:2", "HONGYAN_LOG_LEVEL=error"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{"tail"}, rest)
	require.Equal(t, ":3", c.Addr)
	require.Equal(t, slog.LevelError, c.LogLevel)
	require.Equal(t, 7, c.Workers)
	require.Equal(t, "https://h.example.com", c.PublicURL)
}

func TestSecretsComeFromFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content+"\n"), 0o600))
		return path
	}
	c, err := load(t,
		"HONGYAN_MYSQL_DSN_FILE="+write("dsn", "u:"+hush+"@tcp(db:3306)/hongyan"), "HONGYAN_MYSQL_DSN=",
		"HONGYAN_REDIS_URL_FILE="+write("redis", "redis://:"+hush+"@redis:6379/0"),
		"HONGYAN_SECRET_KEY_FILE="+write("key", key), "HONGYAN_SECRET_KEY_PREVIOUS_FILE="+write("previous", previous), "HONGYAN_ROLE=worker")
	require.NoError(t, err)
	require.Equal(t, "u:"+hush+"@tcp(db:3306)/hongyan", string(c.MySQLDSN))
	require.Equal(t, []byte(strings.Repeat("k", 32)), c.Key())
	require.Equal(t, []byte(strings.Repeat("p", 32)), c.PreviousKey())

	encoded, err := json.Marshal(c)
	require.NoError(t, err)
	var logged strings.Builder
	c.Logger(&logged).Info("config", "config", c, "dsn", c.MySQLDSN)
	for _, text := range []string{c.String(), fmt.Sprintf("%v %+v %#v", c, c, c), string(encoded), logged.String()} {
		require.NotContains(t, text, hush)
		require.NotContains(t, text, key)
		require.NotContains(t, text, previous)
	}
}

func TestAllProblemsAreReportedAtOnceByVariable(t *testing.T) {
	t.Parallel()
	_, err := load(t, "HONGYAN_ADDR=nowhere", "HONGYAN_MYSQL_DSN=root:"+hush+"@tcp(", "HONGYAN_SECRET_KEY="+hush, "HONGYAN_ROLE=boss",
		"HONGYAN_LOG_LEVEL=loud", "HONGYAN_LOG_FORMAT=xml", "HONGYAN_SHUTDOWN_TIMEOUT=soon", "HONGYAN_PUBLIC_URL=ftp://x",
		"HONGYAN_SANDBOX=perhaps", "HONGYAN_WORKERS=many", "HONGYAN_MYSQL_DNS=x", "HONGYAN_REDIS_URL_FILE=/absent/file")
	require.Error(t, err)
	seen := map[string]int{}
	for _, f := range fault.Fields(err) {
		seen[strings.TrimPrefix(f.Field, config.Prefix)]++
	}
	require.Equal(t, map[string]int{
		"ADDR": 1, "MYSQL_DSN": 1, "SECRET_KEY": 1, "ROLE": 1, "LOG_LEVEL": 1, "LOG_FORMAT": 1, "SHUTDOWN_TIMEOUT": 1,
		"PUBLIC_URL": 1, "SANDBOX": 1, "WORKERS": 1, "MYSQL_DNS": 1, "REDIS_URL_FILE": 1, "REDIS_URL": 1,
	}, seen)
	require.NotContains(t, err.Error(), hush)
}

func TestStorageIsEmbeddedOrServersNeverHalf(t *testing.T) {
	t.Parallel()
	mysql, redis, secret := "HONGYAN_MYSQL_DSN=u:p@tcp(db:3306)/hongyan", "HONGYAN_REDIS_URL=redis://redis:6379/0", "HONGYAN_SECRET_KEY="+key
	for name, c := range map[string]struct {
		environ []string
		field   string // "" = accepted
	}{
		"both":                 {[]string{mysql, redis, secret}, ""},
		"no redis":             {[]string{mysql, secret}, "HONGYAN_REDIS_URL"},
		"no mysql":             {[]string{redis}, "HONGYAN_MYSQL_DSN"},
		"no key":               {[]string{mysql, redis}, "HONGYAN_SECRET_KEY"},
		"short key":            {[]string{"HONGYAN_SECRET_KEY=c2hvcnQ="}, "HONGYAN_SECRET_KEY"},
		"while rotating":       {[]string{mysql, redis, secret, "HONGYAN_SECRET_KEY_PREVIOUS=" + previous}, ""},
		"short previous key":   {[]string{mysql, redis, secret, "HONGYAN_SECRET_KEY_PREVIOUS=c2hvcnQ="}, "HONGYAN_SECRET_KEY_PREVIOUS"},
		"one key twice":        {[]string{mysql, redis, secret, "HONGYAN_SECRET_KEY_PREVIOUS=" + key}, "HONGYAN_SECRET_KEY_PREVIOUS"},
		"previous key alone":   {[]string{"HONGYAN_SECRET_KEY_PREVIOUS=" + previous}, "HONGYAN_SECRET_KEY_PREVIOUS"},
		"no database":          {[]string{"HONGYAN_MYSQL_DSN=u:p@tcp(db:3306)/", redis, secret}, "HONGYAN_MYSQL_DSN"},
		"wrong scheme":         {[]string{mysql, "HONGYAN_REDIS_URL=http://redis", secret}, "HONGYAN_REDIS_URL"},
		"embedded worker":      {[]string{"HONGYAN_ROLE=worker"}, "HONGYAN_ROLE"},
		"variable and file":    {[]string{mysql, redis, secret, "HONGYAN_SECRET_KEY_FILE=x"}, "HONGYAN_SECRET_KEY"},
		"secret file not read": {[]string{"HONGYAN_SECRET_KEY_FILE=/absent/key"}, "HONGYAN_SECRET_KEY_FILE"},
		"too many workers":     {[]string{"HONGYAN_WORKERS=2001"}, "HONGYAN_WORKERS"},
		"no workers":           {[]string{"HONGYAN_WORKERS=0"}, "HONGYAN_WORKERS"},
		"endless shutdown":     {[]string{"HONGYAN_SHUTDOWN_TIMEOUT=1h"}, "HONGYAN_SHUTDOWN_TIMEOUT"},
		"absent config file":   {[]string{"HONGYAN_CONFIG=/absent.yaml"}, "HONGYAN_CONFIG"},
	} {
		_, err := load(t, c.environ...)
		if c.field == "" {
			require.NoError(t, err, name)
			continue
		}
		require.NotEmpty(t, fault.Fields(err), name)
		require.Equal(t, c.field, fault.Fields(err)[0].Field, name)
	}
}

func TestTrustedProxiesAreAddressesAndNetworksAndNeverEverybody(t *testing.T) {
	t.Parallel()
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.5/32"), netip.MustParsePrefix("2001:db8::1/128")}
	c, err := load(t, "HONGYAN_TRUSTED_PROXIES=10.1.2.3/8, 192.0.2.5,2001:db8::1,")
	require.NoError(t, err)
	require.Equal(t, want, c.TrustedProxies)
	require.Contains(t, c.String(), "trusted_proxies=[10.0.0.0/8 192.0.2.5/32 2001:db8::1/128]")
	path := filepath.Join(t.TempDir(), "hongyan.yaml")
	for _, text := range []string{"trusted_proxies: [10.0.0.0/8, 192.0.2.5, '2001:db8::1']\n", "trusted_proxies: 10.0.0.0/8,192.0.2.5,2001:db8::1\n"} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		c, err = load(t, "HONGYAN_CONFIG="+path)
		require.NoError(t, err)
		require.Equal(t, want, c.TrustedProxies, text)
	}
	_, err = load(t, "HONGYAN_TRUSTED_PROXIES=0.0.0.0/0,::/0,proxy.example.com,10.0.0.0/33,::ffff:10.0.0.0/104")
	var rules []string
	for _, f := range fault.Fields(err) {
		require.Equal(t, "HONGYAN_TRUSTED_PROXIES", f.Field)
		rules = append(rules, f.Rule)
	}
	require.Equal(t, []string{"everybody", "everybody", "format", "format", "format"}, rules)
}

func TestUnknownKeysInTheFileAreRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hongyan.yaml")
	require.NoError(t, os.WriteFile(path, []byte("adr: :1\n"), 0o600))
	_, err := load(t, "HONGYAN_CONFIG="+path)
	require.ErrorContains(t, err, `"adr"`)
}

func TestHelpListsEverySettingButNoSecretFlag(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	_, _, err := config.Load([]string{"--help"}, nil, &out)
	require.ErrorIs(t, err, flag.ErrHelp)
	require.Contains(t, out.String(), "HONGYAN_ADDR")
	require.NotContains(t, out.String(), "mysql")
	_, _, err = config.Load([]string{"--mysql-dsn=x"}, nil, io.Discard)
	require.True(t, fault.Is(err, fault.Invalid))
}
