package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"hongyan/accounts"
	"hongyan/fans"
	"hongyan/internal/clock"
	"hongyan/internal/config"
	"hongyan/internal/fault"
	"hongyan/internal/lang"
	"hongyan/wechat"
)

// errCheck is returned when an account has an error; the report says which.
var errCheck = errors.New("an account does not work; see the lines with ✗ above")

// checkCommand checks all accounts, or the one that --account names by its id or AppID, and says in words what is wrong and what to do. It fails when an
// account has an error; warnings do not make it fail.
func checkCommand(ctx context.Context, e env) error {
	which, args, err := takeFlag(e.args, "account")
	if err != nil {
		return err
	}
	speak, args, err := takeFlag(args, "lang")
	if err != nil {
		return err
	}
	languages, ok := map[string][]lang.Lang{"": {lang.ZH, lang.EN}, "zh": {lang.ZH}, "en": {lang.EN}}[speak]
	if !ok {
		return fault.BadField("lang", "one_of", `the language is "zh" or "en"; without --lang it is both`)
	}
	e.args = args
	return withStorage(ctx, e, func(cfg config.Config, st *storage) error {
		if err := (&Server{Config: cfg, storage: st}).schema(ctx); err != nil {
			return err
		}
		c := newCheckUp(cfg, st, e)
		defer c.close()
		c.out = printer{e.out, languages}
		return c.run(ctx, which)
	})
}

// takeFlag takes one flag of text out of arguments, so that the settings' own flags can follow.
func takeFlag(args []string, name string) (value string, rest []string, err error) {
	for i := 0; i < len(args); i++ {
		given, text, joined := strings.Cut(args[i], "=")
		if given != "--"+name && given != "-"+name {
			rest = append(rest, args[i])
			continue
		}
		if !joined {
			if i++; i == len(args) {
				return "", nil, fault.BadField(name, "required", "--%s needs a value", name)
			}
			text = args[i]
		}
		value = text
	}
	return value, rest, nil
}

// checkUp is one run of the command.
type checkUp struct {
	cfg      config.Config
	accounts *accounts.Store
	checker  *accounts.Checker
	sandbox  *sandbox // nil when there is none
	idle     func()
	out      printer
}

func newCheckUp(cfg config.Config, st *storage, e env) *checkUp {
	clk := clock.System()
	c := &checkUp{cfg: cfg, accounts: accounts.New(st.db, clk, st.vault)}
	direct := wechat.NewTransport(cfg.Workers)
	c.idle = direct.CloseIdleConnections
	var transport http.RoundTripper = direct
	if cfg.Sandbox == config.On || cfg.Sandbox == config.Auto && cfg.Embedded() {
		c.sandbox = newSandbox(clk, cfg.Logger(e.err))
		transport = c.sandbox.transport(direct)
	}
	c.checker = accounts.NewChecker(accounts.CheckOptions{
		DB: st.db, Clock: clk, Accounts: c.accounts, Transport: transport, Tokens: accounts.NewTokens(st.db, st.vault),
		Pushes: fans.NewInbox(st.db, clk), CallbackURL: callbackURL(cfg.PublicURL),
	})
	return c
}

func (c *checkUp) close() {
	c.idle()
	if c.sandbox != nil {
		c.sandbox.stop()
	}
}

func (c *checkUp) run(ctx context.Context, which string) error {
	all, err := c.accounts.FindAccounts(ctx)
	if err != nil {
		return err
	}
	var failed, found bool
	for _, a := range all {
		if which != "" && which != a.AppID && which != strconv.FormatInt(a.ID, 10) {
			continue
		}
		found = true
		if a.AppID == sandboxAppID && c.sandbox != nil {
			// The simulated platform lives in the server's memory: this one is another, on which the account is as new.
			if _, err := populate(c.sandbox.sim, a, "http://127.0.0.1", 0); err != nil {
				return fmt.Errorf("make the sandbox account: %w", err)
			}
		}
		report, err := c.checker.Check(ctx, a)
		if err != nil {
			return err
		}
		c.out.report(a, report)
		failed = failed || report.Worst() == accounts.SeverityError
	}
	switch {
	case which != "" && !found:
		return fault.New(fault.NotFound, "there is no account %q", which)
	case !found:
		c.out.say(lang.Text{ZH: "还没有公众号。", EN: "There are no accounts yet."})
	case failed:
		return errCheck
	}
	return nil
}

// callbackURL makes the address that the pushes of an account have to go to: "" while the installation's own is not known.
func callbackURL(public string) func(*accounts.Account) string {
	return func(a *accounts.Account) string {
		switch {
		case public == "":
			return ""
		case a.Component != nil:
			return componentURLs(public)(a.Component.AppID).Messages
		default:
			return public + "/wechat/callback/" + a.AppID
		}
	}
}

// printer writes reports in one language or both.
type printer struct {
	w         io.Writer
	languages []lang.Lang
}

func (p printer) say(t lang.Text) {
	for _, l := range p.languages {
		fmt.Fprintln(p.w, t.In(l))
	}
}

func (p printer) report(a *accounts.Account, r *accounts.Report) {
	fmt.Fprintf(p.w, "%s · %s · #%d\n", a.Name, a.AppID, a.ID)
	for _, f := range r.Findings {
		p.finding(a, &f)
	}
	for _, group := range []struct {
		permission accounts.Permission
		text       lang.Text
	}{
		{accounts.Allowed, lang.Text{ZH: "可用", EN: "may use"}},
		{accounts.NotAllowed, lang.Text{ZH: "不可用", EN: "may not use"}},
		{accounts.Unknown, lang.Text{ZH: "未知", EN: "unknown"}},
	} {
		p.rights(r.Rights, group.permission, group.text)
	}
	fmt.Fprintln(p.w)
}

func (p printer) finding(a *accounts.Account, f *accounts.Finding) {
	mark := map[accounts.Severity]string{accounts.SeverityOK: "✓", accounts.SeverityWarning: "!", accounts.SeverityError: "✗"}[f.Severity]
	detail := ""
	if f.ErrCode != 0 {
		detail = " · errcode " + strconv.Itoa(f.ErrCode)
	}
	if f.RID != "" {
		detail += " · rid " + f.RID
	}
	fmt.Fprintf(p.w, "  %s %s%s\n", mark, f.Code, detail)
	what, do := f.What(), f.Do()
	for _, l := range p.languages {
		fmt.Fprintf(p.w, "      %s\n", what.In(l))
		if do.In(l) != "" {
			fmt.Fprintf(p.w, "      → %s\n", do.In(l))
		}
	}
	// The Token is a secret: no finding holds it, and it is shown only where it has to be copied from.
	if (f.Code == "callback_never_seen" || f.Code == "callback_not_set") && a.Component == nil {
		fmt.Fprintf(p.w, "      Token: %s\n", a.Callback.Token)
	}
}

func (p printer) rights(rights accounts.Rights, permission accounts.Permission, title lang.Text) {
	for _, l := range p.languages {
		var names []string
		for _, right := range rights {
			if right.Permission == permission {
				names = append(names, right.Capability.Text().In(l))
			}
		}
		if len(names) > 0 {
			separator := map[lang.Lang]string{lang.ZH: "、", lang.EN: ", "}[l]
			fmt.Fprintf(p.w, "    %s: %s\n", title.In(l), strings.Join(names, separator))
		}
	}
}
