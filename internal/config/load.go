package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"hongyan/internal/fault"
)

// setting describes one variable. Its name is the key in the file; the flag has dashes for underscores.
type setting struct {
	name, byDefault, help string
	secret                bool
}

func settings() []setting {
	return []setting{
		{name: "addr", byDefault: "127.0.0.1:8080", help: "host:port to listen on"},
		{name: "data_dir", byDefault: "./data", help: "directory of the embedded database and of the installation's files"},
		{name: "mysql_dsn", secret: true},
		{name: "redis_url", secret: true},
		{name: "secret_key", secret: true},
		{name: "secret_key_previous", secret: true},
		{name: "role", byDefault: string(RoleAll), help: "all, api or worker"},
		{name: "log_level", byDefault: "info", help: "debug, info, warn or error"},
		{name: "log_format", byDefault: "text", help: "text or json"},
		{name: "shutdown_timeout", byDefault: "25s", help: "how long running sends may finish when the process stops"},
		{name: "public_url", help: "where the platform and fans reach this server"},
		{name: "sandbox", byDefault: string(Auto), help: "an account of invented fans on the simulator: auto, on or off"},
		{name: "workers", byDefault: "50", help: "most platform calls in flight in this process"},
		{name: "webhooks_inside", byDefault: string(Off), help: "whether webhooks may reach addresses inside of the own network: on or off"},
		{name: "trusted_proxies", help: "addresses and networks of proxies whose X-Forwarded-For is believed, separated by commas"},
	}
}

// foreign are variables with our prefix that are not settings of the server.
func foreign(name string) bool {
	return name == "CONFIG" || strings.HasPrefix(name, "TEST_") || strings.HasPrefix(name, "BENCH_")
}

// Load reads and validates the settings. args are the flags after the command's name, environ is os.Environ().
// It returns the arguments that are not flags. The error joins all problems, one per variable; it is
// flag.ErrHelp when help was asked for, after usage was written to out.
func Load(args, environ []string, out io.Writer) (Config, []string, error) {
	flags, rest, err := parseFlags(args, out)
	if err != nil {
		return Config{}, nil, err
	}
	k := koanf.New("\x00") // names are flat: no delimiter
	var problems []error
	defaults := map[string]any{}
	for _, s := range settings() {
		defaults[s.name] = s.byDefault
	}
	problems = append(problems, k.Load(confmap.Provider(defaults, ""), nil))
	problems = append(problems, loadFile(k, flags, environ), loadEnviron(k, environ))
	delete(flags, "config")
	problems = append(problems, k.Load(confmap.Provider(flags, ""), nil))

	cfg, err := build(k)
	problems = append(problems, err)
	problems = append(problems, cfg.Validate())
	if err := errors.Join(problems...); err != nil {
		return Config{}, nil, err
	}
	return cfg, rest, nil
}

func parseFlags(args []string, out io.Writer) (set map[string]any, rest []string, err error) {
	fs := flag.NewFlagSet("hongyan", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.String("config", "", "a YAML file of settings; also HONGYAN_CONFIG")
	for _, s := range settings() {
		if !s.secret {
			fs.String(strings.ReplaceAll(s.name, "_", "-"), s.byDefault, s.help+"; also "+variable(s.name))
		}
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, nil, err
		}
		return nil, nil, fault.Wrap(fault.Invalid, err, "the command line")
	}
	set = map[string]any{}
	fs.Visit(func(f *flag.Flag) { set[strings.ReplaceAll(f.Name, "-", "_")] = f.Value.String() })
	return set, fs.Args(), nil
}

func loadFile(k *koanf.Koanf, flags map[string]any, environ []string) error {
	path, given := flags["config"].(string)
	if !given {
		path = lookup(environ, Prefix+"CONFIG")
	}
	if path == "" {
		return nil
	}
	fromFile := koanf.New("\x00")
	if err := fromFile.Load(file.Provider(path), yaml.Parser()); err != nil {
		return bad("CONFIG", "format", "cannot read %s: %v", path, err)
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(fromFile.Raw())) {
		if !known(key) {
			errs = append(errs, bad("CONFIG", "unknown", "%s: no setting is called %q", path, key))
		}
	}
	return errors.Join(append(errs, k.Merge(fromFile))...)
}

// loadEnviron reads the variables. An unknown one is refused: a misspelt HONGYAN_MYSQL_DSN would
// otherwise start an empty embedded installation.
func loadEnviron(k *koanf.Koanf, environ []string) error {
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	provider := env.Provider("\x00", env.Opt{
		Prefix:      Prefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			short := strings.TrimPrefix(name, Prefix)
			key := strings.ToLower(short)
			base, isFile := strings.CutSuffix(key, "_file")
			switch {
			case foreign(short):
				return "", nil
			case isFile && isSecret(base):
				content, err := secretFile(base, value, environ)
				note(err)
				return base, content
			case !known(key):
				note(bad(short, "unknown", "no such setting; see hongyan serve --help"))
				return "", nil
			case value == "" || (isSecret(key) && lookup(environ, name+"_FILE") != ""):
				return "", nil // empty means unset, as in a compose file; with a file beside it, see secretFile
			}
			return key, value
		},
	})
	err := k.Load(provider, nil)
	return errors.Join(append(errs, err)...)
}

func secretFile(key, path string, environ []string) (string, error) {
	if path == "" {
		return lookup(environ, variable(key)), nil
	}
	if lookup(environ, variable(key)) != "" {
		return "", fault.BadField(variable(key), "twice", "set either %s or %s_FILE, not both", variable(key), variable(key))
	}
	content, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return "", fault.BadField(variable(key)+"_FILE", "unreadable", "the file cannot be read: %v", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// build reads the texts into a Config. In place of what it cannot read, and reports, it puts a valid
// value, so that Validate does not report it a second time.
func build(k *koanf.Koanf) (Config, error) {
	c := Config{
		Addr: k.String("addr"), DataDir: k.String("data_dir"),
		MySQLDSN: Secret(k.String("mysql_dsn")), RedisURL: Secret(k.String("redis_url")), SecretKey: Secret(k.String("secret_key")),
		SecretKeyPrevious: Secret(k.String("secret_key_previous")),
		Role:              Role(k.String("role")), LogFormat: k.String("log_format"),
		PublicURL: strings.TrimRight(k.String("public_url"), "/"), Sandbox: Switch(k.String("sandbox")), WebhooksInside: Switch(k.String("webhooks_inside")),
	}
	var errs []error
	if err := c.LogLevel.UnmarshalText([]byte(k.String("log_level"))); err != nil {
		errs = append(errs, bad("LOG_LEVEL", "one_of", "%q is not one of debug, info, warn, error", k.String("log_level")))
	}
	var err error
	if c.ShutdownTimeout, err = time.ParseDuration(k.String("shutdown_timeout")); err != nil {
		errs = append(errs, bad("SHUTDOWN_TIMEOUT", "format", "%q is not a duration as in 25s", k.String("shutdown_timeout")))
		c.ShutdownTimeout = minShutdown
	}
	if c.Workers, err = strconv.Atoi(fmt.Sprint(k.Get("workers"))); err != nil {
		errs = append(errs, bad("WORKERS", "format", "%q is not a whole number", k.String("workers")))
		c.Workers = 1
	}
	if c.TrustedProxies, err = proxiesOf(k); err != nil {
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}

// proxiesOf reads a list of addresses and networks: a text with commas, or a list in the file.
func proxiesOf(k *koanf.Koanf) ([]netip.Prefix, error) {
	texts := k.Strings("trusted_proxies")
	if len(texts) == 0 {
		texts = strings.Split(k.String("trusted_proxies"), ",")
	}
	var out []netip.Prefix
	var errs []error
	for _, text := range texts {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		network, err := netip.ParsePrefix(text)
		if one, again := netip.ParseAddr(text); again == nil {
			network, err = netip.PrefixFrom(one.WithZone(""), one.BitLen()), nil
		}
		switch {
		case err != nil || network.Addr().Is4In6():
			errs = append(errs, bad("TRUSTED_PROXIES", "format", "%q is neither an address nor a network, as in 10.0.0.5 or 10.0.0.0/8", text))
		case network.Bits() == 0:
			errs = append(errs, bad("TRUSTED_PROXIES", "everybody", "%q is everybody, who could then claim any address; name your proxies", text))
		default:
			out = append(out, network.Masked())
		}
	}
	return out, errors.Join(errs...)
}

func variable(key string) string { return Prefix + strings.ToUpper(key) }

func known(key string) bool {
	return slices.ContainsFunc(settings(), func(s setting) bool { return s.name == key })
}

func isSecret(key string) bool {
	return slices.ContainsFunc(settings(), func(s setting) bool { return s.name == key && s.secret })
}

func lookup(environ []string, name string) string {
	for _, pair := range environ {
		if key, value, ok := strings.Cut(pair, "="); ok && key == name {
			return value
		}
	}
	return ""
}

// Logger returns the process's logger on out, at the level and in the format that c says.
func (c Config) Logger(out io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(out, opts))
	}
	return slog.New(slog.NewTextHandler(out, opts))
}
