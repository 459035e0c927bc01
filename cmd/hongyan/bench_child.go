package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"hongyan/internal/config"
)

// The children of a bench: the other end, the loop that it is compared with, and what is measured. Each is a process of its own, so that its time and memory are.
const (
	childSink   = "@sink"
	childBare   = "@bare"
	childWorker = "@worker"

	childPlatform = "@platform"
)

// benchChild is a child's part. It answers each line on its standard input with one line of JSON, and ends when that is closed.
func benchChild(ctx context.Context, e env) error {
	name := e.args[0]
	e.args = e.args[1:]
	switch name {
	case childSink:
		return benchSinkCommand(ctx, e)
	case childBare:
		return benchBareCommand(ctx, e)
	case childPlatform:
		return benchPlatformCommand(ctx, e)
	case childWorker:
		return benchWorkerCommand(ctx, e)
	default:
		return fmt.Errorf("a bench has no process %q", name)
	}
}

// benchProc is a running child process.
type benchProc struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *json.Decoder
	ended bool
}

// start runs a child and reads its first answer, which says that it is ready.
func (b *bench) start(ctx context.Context, settings []string, ready any, args ...string) (*benchProc, error) {
	all := slices.Concat(b.self.command[1:], args)
	c := &benchProc{cmd: exec.CommandContext(ctx, b.self.command[0], all...)} //nolint:gosec // this program itself
	c.cmd.Env = slices.Concat(withoutSettings(b.environ), b.self.environ, settings)
	c.cmd.Stderr = b.err
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	c.out = json.NewDecoder(out)
	if err := c.out.Decode(ready); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", args[0], err), c.stop())
	}
	return c, nil
}

// withoutSettings is an environment without the settings of an installation: a bench must never meet a real one.
func withoutSettings(environ []string) []string {
	var out []string
	for _, pair := range environ {
		if !strings.HasPrefix(pair, config.Prefix) {
			out = append(out, pair)
		}
	}
	return out
}

// ask sends a line and reads the answer.
func (c *benchProc) ask(line string, answer any) error {
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		return fmt.Errorf("ask a child to %s: %w", line, err)
	}
	if err := c.out.Decode(answer); err != nil {
		return fmt.Errorf("ask a child to %s: %w", line, err)
	}
	return nil
}

// stop ends a child in order. A second call does nothing.
func (c *benchProc) stop() error {
	if c == nil || c.ended {
		return nil
	}
	c.ended = true
	return errors.Join(c.in.Close(), c.cmd.Wait())
}

// kill ends a child as a crash would: kill -9.
func (c *benchProc) kill() error {
	if c.ended {
		return nil
	}
	c.ended = true
	if err := c.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill a child: %w", err)
	}
	var exit *exec.ExitError
	if err := c.cmd.Wait(); !errors.As(err, &exit) {
		return fmt.Errorf("kill a child: it ended with %w", err)
	}
	return nil
}

// serveLines answers the lines of the parent until it has no more.
func serveLines(e env, ready any, answer func(line string) (any, error)) error {
	enc := json.NewEncoder(e.out)
	if err := enc.Encode(ready); err != nil {
		return fmt.Errorf("answer the bench: %w", err)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		a, err := answer(lines.Text())
		if err != nil {
			return err
		}
		if err := enc.Encode(a); err != nil {
			return fmt.Errorf("answer the bench: %w", err)
		}
	}
	return lines.Err()
}

// joined is err, and what give said in the end.
func joined(err *error, give func() error) { *err = errors.Join(*err, give()) }
