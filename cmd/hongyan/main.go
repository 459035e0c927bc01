// Command hongyan is a self-hosted scheduler for WeChat Official Accounts: one binary with
// everything in it.
//
// It joins the rooms: configuration, storage, the scheduler, the platform's pushes, the API and the pages for people. Together with admin it is the
// only place that imports Fiber. Run `hongyan help` for the commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"
	_ "time/tzdata" // accounts name their zones, and small images have no zone files
)

// env is what a command may use of the process it runs in, so that tests run commands too.
type env struct {
	args    []string
	environ []string
	in      io.Reader // may be nil for a command that reads none
	out     io.Writer
	err     io.Writer
}

// command is one of the things that the binary does.
type command struct {
	name string
	help string
	run  func(ctx context.Context, e env) error
}

func commands() []command {
	return []command{
		{"serve", "run the program: pushes, sending, pages (roles all, api, worker)", serveCommand},
		{"migrate", "bring the database schema up to date", migrateCommand},
		{"resume", "let this copy of the installation send (after a restore, or on a new machine)", resumeCommand},
		{"member", "add a member who logs in: member add NAME; makes a password, or reads one with --password-stdin", memberCommand},
		{"rotate-key", "seal the stored secrets with a new key, or with the configured one", rotateKeyCommand},
		{"check", "check all accounts, or one (--account ID or AppID); say what is wrong and what to do (--lang zh or en)", checkCommand},
		{"replay", "rebuild fans, grants, caps and figures from the inbox and the ledger, and compare (--account ID or AppID)", replayCommand},
		{"simulator", "run the simulated WeChat platform by itself", simulatorCommand},
		{"healthcheck", "ask a running server on this machine whether it is ready", healthcheckCommand},
		{"demo", "a week of a sandbox account in virtual time, then one drip in real time", demoCommand},
		{"bench", "measure; prints one JSON line per run", benchCommand},
	}
}

// garbagePercent is how much garbage may gather, in percent of what is alive, before it is collected. The program keeps some 10 MB alive and makes much that
// is short-lived: at Go's 100 % it would collect after each 10 MB, and spend an eighth of its time on that. GOGC in the environment wins.
const garbagePercent = 200

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, env{args: os.Args[1:], environ: os.Environ(), in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}

// errUsage is an error that has been explained already.
var errUsage = errors.New("see hongyan help")

func run(ctx context.Context, e env) int {
	name := "help"
	if len(e.args) > 0 {
		name, e.args = e.args[0], e.args[1:]
	}
	all := commands()
	at := slices.IndexFunc(all, func(c command) bool { return c.name == name })
	if at < 0 {
		return usage(e, name, all)
	}
	err := all[at].run(ctx, e)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		return 2
	default:
		fmt.Fprintf(e.err, "hongyan %s: %v\n", name, err)
		return 1
	}
}

func usage(e env, name string, all []command) int {
	out, code := e.out, 0
	if name != "help" && name != "-h" && name != "--help" {
		out, code = e.err, 2
		fmt.Fprintf(out, "hongyan: there is no command %q\n\n", name)
	}
	fmt.Fprintln(out, "Hongyan 鸿雁: a scheduler for WeChat Official Accounts.\n\nUsage: hongyan COMMAND [flags]")
	for _, c := range all {
		fmt.Fprintf(out, "  %-12s %s\n", c.name, c.help)
	}
	fmt.Fprintln(out, "\nSettings come from flags, HONGYAN_… variables and a file; `hongyan serve --help` lists them.")
	return code
}
