package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"hongyan/admin"
	"hongyan/internal/clock"
	"hongyan/internal/config"
	"hongyan/internal/fault"
)

// passwordFlag makes `member add` read the password from its input.
const passwordFlag = "--password-stdin"

// maxPasswordLine is more than a password can have.
const maxPasswordLine = 4096

// memberCommand adds a member: `hongyan member add NAME`. The password is the first line of the input with --password-stdin; otherwise one is
// made, and printed this once.
func memberCommand(ctx context.Context, e env) error {
	given := slices.Contains(e.args, passwordFlag)
	args := slices.DeleteFunc(slices.Clone(e.args), func(arg string) bool { return arg == passwordFlag })
	if len(args) < 2 || args[0] != "add" || strings.HasPrefix(args[1], "-") {
		fmt.Fprintln(e.err, "usage: hongyan member add NAME ["+passwordFlag+"] [settings]")
		return errUsage
	}
	name := args[1]
	e.args = args[2:]
	password := rand.Text()
	if given {
		var err error
		if password, err = firstLine(e.in); err != nil {
			return err
		}
	}
	return withStorage(ctx, e, func(cfg config.Config, st *storage) error {
		if err := (&Server{Config: cfg, storage: st}).schema(ctx); err != nil {
			return err
		}
		if _, err := admin.NewMembers(st.db, clock.System()).AddMember(ctx, name, password); err != nil {
			return err
		}
		fmt.Fprintf(e.out, "member %q can log in now\n", name)
		if !given {
			fmt.Fprintf(e.out, "password: %s\n(it is shown this once)\n", password)
		}
		return nil
	})
}

// firstLine reads a line without its end.
func firstLine(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, maxPasswordLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fault.Wrap(fault.Invalid, err, "the password cannot be read from the input")
	}
	return strings.TrimRight(line, "\r\n"), nil
}
