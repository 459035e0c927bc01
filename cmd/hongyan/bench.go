package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"hongyan/internal/clock"
)

// The storages that are measured.
const (
	benchServers  = "mariadb+redis"
	benchEmbedded = "embedded"
)

// benchOptions are the flags of `hongyan bench`.
type benchOptions struct {
	names    []string
	storages []string
	n        int
	runs     int
	quick    bool
	settings []benchSetting // of send
	kill     bool           // send: one run more per storage, with a kill -9 in the middle; sync: kills in each run
	profile  string         // file for a CPU profile of the process that sends

	fans, deliveries int // of api
}

// benchSetting is how the other end answers and how many calls the sender may have open.
type benchSetting struct {
	latency  time.Duration
	inFlight int
}

// bench is one call of the command.
type bench struct {
	env
	benchOptions

	clock clock.Clock
	self  benchSelf
	enc   *json.Encoder
}

// benchSelf starts this program again, for a child process: the arguments of bench follow.
type benchSelf struct {
	command []string
	environ []string // what it needs beside its settings
}

// benchLine is what one run measured: one line of JSON. What a bench does not measure is left out.
type benchLine struct {
	Bench            string   `json:"bench"`
	Storage          string   `json:"storage,omitempty"`
	Run              string   `json:"run"` // 1, 2, …; kill; median
	SinkLatencyMS    int64    `json:"sink_latency_ms"`
	InFlight         int      `json:"in_flight,omitempty"`
	Deliveries       int      `json:"deliveries,omitempty"`
	Fans             int      `json:"fans,omitempty"`
	Kills            int      `json:"kills,omitempty"`
	Seconds          float64  `json:"seconds,omitempty"` // enrol: until everybody had been let in
	PerSecond        float64  `json:"per_second,omitempty"`
	BarePerSecond    float64  `json:"bare_per_second,omitempty"`
	Ratio            float64  `json:"ratio,omitempty"`
	CPUPer1000       float64  `json:"cpu_s_per_1000,omitempty"`      // user and system, of the process that sends
	BareCPUPer1000   float64  `json:"bare_cpu_s_per_1000,omitempty"` // the same of the bare loop
	DBCPUPer1000     float64  `json:"db_cpu_s_per_1000,omitempty"`   // of the database and Redis servers on this machine
	PeakRSSMB        float64  `json:"peak_rss_mb,omitempty"`
	MaxMarked        int64    `json:"max_marked,omitempty"`
	LostAfterKill    *float64 `json:"lost_after_kill,omitempty"`
	UnknownAfterKill *float64 `json:"unknown_after_kill,omitempty"`
	RecoveredS       float64  `json:"recovered_s,omitempty"` // from the kill to the end of the last delivery; sync: until the job went on, at most
	Wrong            *float64 `json:"wrong,omitempty"`       // sync, enrol: fans missing, doubled or in a wrong state
	Retries          *float64 `json:"retries,omitempty"`     // enrol: transactions repeated after a deadlock
	P50MS            *float64 `json:"p50_ms,omitempty"`
	P99MS            *float64 `json:"p99_ms,omitempty"`
	MaxMS            *float64 `json:"max_ms,omitempty"`
	PushedP99MS      *float64 `json:"pushed_p99_ms,omitempty"`  // of the half that pushes opened
	PlannedP99MS     *float64 `json:"planned_p99_ms,omitempty"` // of the half that was planned before
	Expired          *float64 `json:"expired,omitempty"`
	BulkPerSecond    float64  `json:"bulk_per_second,omitempty"` // what the bulk send got meanwhile
	Lost             *float64 `json:"lost,omitempty"`
	DrainedS         float64  `json:"drained_s,omitempty"` // from the last acknowledgement until every push had been acted upon
	AllocsPerOp      *float64 `json:"allocs_per_op,omitempty"`
	Fsync            string   `json:"fsync,omitempty"`
	Go               string   `json:"go"`
	CPUs             int      `json:"cpus"`
	Commit           string   `json:"commit,omitempty"`

	// Of api: the 95th percentile of all lists, of all reports, and of the slowest of both by name.
	ListsP95MS   *float64           `json:"lists_p95_ms,omitempty"`
	ReportsP95MS *float64           `json:"reports_p95_ms,omitempty"`
	Worst        map[string]float64 `json:"worst,omitempty"`
}

// benchCommand measures, and prints one JSON line for each run and one with the medians. A run whose counts do not add up is an error.
func benchCommand(ctx context.Context, e env) error {
	if len(e.args) > 0 && strings.HasPrefix(e.args[0], "@") {
		return benchChild(ctx, e)
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	return benchRun(ctx, e, benchSelf{command: []string{exe, "bench"}})
}

func benchRun(ctx context.Context, e env, self benchSelf) error {
	b := &bench{env: e, clock: clock.System(), self: self, enc: json.NewEncoder(e.out)}
	if err := b.parse(); err != nil {
		return err
	}
	for _, name := range b.names {
		if err := b.one(ctx, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func benchNames() []string {
	return []string{"send", "ontime", "callback", "guard", "sync", "enrol", "api"}
}

// parse reads names and flags, in any order.
func (b *bench) parse() error {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(b.err)
	fs.Usage = func() {
		fmt.Fprintf(b.err, "Usage: hongyan bench [%s]... [flags]\n", strings.Join(benchNames(), "|"))
		fs.PrintDefaults()
	}
	n := fs.Int("n", 200_000, "deliveries of send, and of the bulk send beside ontime; fans of sync; twice the fans of enrol")
	fs.IntVar(&b.fans, "fans", 1_000_000, "fans of api; a tenth on the embedded storage")
	fs.IntVar(&b.deliveries, "deliveries", 10_000_000, "deliveries of api; a tenth on the embedded storage")
	runs := fs.Int("runs", 3, "runs of each measurement; the last line has their medians")
	storage := fs.String("storage", "both", "mariadb, embedded or both")
	latency := fs.Duration("latency", -1, "send: how long the other end holds each answer back (default 0 with 50 in flight, and 20ms with 200)")
	inFlight := fs.Int("in-flight", 0, "send: calls in flight")
	fs.BoolVar(&b.quick, "quick", false, "small numbers, to see that it works; not to be compared")
	fs.BoolVar(&b.kill, "kill", true, "send: one run more, with a kill -9 in the middle; sync: three of them in each run")
	fs.StringVar(&b.profile, "cpuprofile", "", "write a CPU profile of the process that sends to this file (the last run's)")
	for rest := b.args; ; {
		if err := fs.Parse(rest); err != nil {
			return errUsage
		}
		if rest = fs.Args(); len(rest) == 0 {
			break
		}
		if !slices.Contains(benchNames(), rest[0]) {
			return fmt.Errorf("there is no bench %q; choose from %s", rest[0], strings.Join(benchNames(), ", "))
		}
		b.names, rest = append(b.names, rest[0]), rest[1:]
	}
	if len(b.names) == 0 {
		b.names = benchNames()
	}
	b.n, b.runs = *n, *runs
	b.settings = sendSettings(*latency, *inFlight)
	if b.quick {
		b.quicken(fs)
	}
	return b.chooseStorages(*storage)
}

func (b *bench) chooseStorages(name string) error {
	switch name {
	case "both":
		b.storages = []string{benchServers, benchEmbedded}
	case "mariadb", "mysql", benchServers:
		b.storages = []string{benchServers}
	case benchEmbedded:
		b.storages = []string{benchEmbedded}
	default:
		return fmt.Errorf("there is no storage %q; choose mariadb, embedded or both", name)
	}
	if b.n < 1 || b.runs < 1 {
		return errors.New("--n and --runs are at least 1")
	}
	if b.fans < 1000 || b.deliveries < b.fans {
		return errors.New("--fans is at least 1000, and --deliveries is not less")
	}
	return nil
}

// quicken replaces what was not asked for by small numbers.
func (b *bench) quicken(fs *flag.FlagSet) {
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if !given["n"] {
		b.n = 600
	}
	if !given["fans"] && !given["deliveries"] {
		b.fans, b.deliveries = 100_000, 200_000
	}
	if !given["runs"] {
		b.runs = 1
	}
	b.kill = b.kill && given["kill"]
	if len(b.settings) > 1 {
		b.settings = b.settings[:1]
	}
}

// sendSettings are those of the specification unless a flag says otherwise.
func sendSettings(latency time.Duration, inFlight int) []benchSetting {
	if latency < 0 && inFlight == 0 {
		return []benchSetting{{0, 50}, {20 * time.Millisecond, 200}}
	}
	s := benchSetting{latency: max(0, latency), inFlight: inFlight}
	if inFlight == 0 {
		s.inFlight = 50
		if s.latency > 0 {
			s.inFlight = 200
		}
	}
	return []benchSetting{s}
}

func (b *bench) one(ctx context.Context, name string) error {
	if name == "guard" {
		return b.repeat(ctx, b.guardRun)
	}
	for _, storage := range b.storages {
		var err error
		switch name {
		case "send":
			err = b.send(ctx, storage)
		case "enrol":
			err = b.repeat(ctx, func(ctx context.Context) (*benchLine, error) { return b.enrolRun(ctx, storage) })
		case "sync":
			err = b.repeat(ctx, func(ctx context.Context) (*benchLine, error) { return b.syncRun(ctx, storage) })
		case "api":
			err = b.api(ctx, storage)
		case "ontime":
			err = b.repeat(ctx, func(ctx context.Context) (*benchLine, error) { return b.ontimeRun(ctx, storage) })
		case "callback":
			err = b.repeat(ctx, func(ctx context.Context) (*benchLine, error) { return b.callbackRun(ctx, storage) })
		}
		if err != nil {
			return fmt.Errorf("%s: %w", storage, err)
		}
	}
	return nil
}

// repeat makes the runs of one measurement and prints each, and then the medians.
func (b *bench) repeat(ctx context.Context, run func(context.Context) (*benchLine, error)) error {
	var lines []*benchLine
	for i := range b.runs {
		line, err := run(ctx)
		if err != nil {
			return fmt.Errorf("run %d: %w", i+1, err)
		}
		line.Run = strconv.Itoa(i + 1)
		if err := b.print(line); err != nil {
			return err
		}
		lines = append(lines, line)
	}
	return b.print(medianLine(lines))
}

func (b *bench) print(line *benchLine) error {
	line.Go, line.CPUs, line.Commit = runtime.Version(), runtime.NumCPU(), commit()
	return b.enc.Encode(line)
}

// commit is the revision that this program was built from, with a plus sign when files had been changed.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	revision, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+"
		}
	}
	return revision + changed
}

// pause waits, or until ctx ends.
func (b *bench) pause(ctx context.Context, d time.Duration) error {
	timer := b.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
