package accounts

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/wechat"
)

// Severity says how much a finding matters.
type Severity string

// The severities. An error keeps the account from working; a warning will, or keeps it from a part.
const (
	SeverityOK      Severity = "ok"
	SeverityWarning Severity = "warning"
	SeverityError   Severity = "error"
)

func (s Severity) rank() int {
	return slices.Index([]Severity{SeverityError, SeverityWarning, SeverityOK}, s)
}

// Finding is one thing that a check found out. It holds no secret.
type Finding struct {
	Code     FindingCode       `json:"code"`
	Severity Severity          `json:"severity"`
	Values   map[string]string `json:"values,omitempty"`
	ErrCode  int               `json:"errcode,omitempty"` // of the platform, 0 without one
	RID      string            `json:"rid,omitempty"`     // the platform's request id, for its support
}

// Report is the outcome of a check. Times are unix ms.
type Report struct {
	AccountID int64     `json:"account_id"`
	StartedAt int64     `json:"started_at"`
	EndedAt   int64     `json:"ended_at"`
	Kind      Kind      `json:"kind"`
	Verified  bool      `json:"verified"`
	Findings  []Finding `json:"findings"` // errors first
	Rights    Rights    `json:"rights"`
	Memory    memory    `json:"memory"`
}

// memory is what one check leaves for the next.
type memory struct {
	LastPushAt int64 `json:"last_push_at"`
	// TokenVersion counts the access tokens that were stored; TokenAt is when it was read.
	TokenVersion int64 `json:"token_version"`
	TokenAt      int64 `json:"token_at"`
	// DoubtSince is when the platform began to deny what the account's row says, 0 while it does not.
	DoubtSince int64 `json:"doubt_since"`
}

// Worst is the severity of the worst finding.
func (r *Report) Worst() Severity {
	worst := SeverityOK
	for _, f := range r.Findings {
		if f.Severity.rank() < worst.rank() {
			worst = f.Severity
		}
	}
	return worst
}

// LastPush is what is known of an account's newest push. Times are unix ms.
type LastPush struct {
	Ever       bool  // one came at some time
	ReceivedAt int64 // 0 when it was not among those that were looked at
	// Unclear says that not all pushes of the asked time were looked at.
	Unclear bool
}

// Pushes tells of the pushes that came in.
type Pushes interface {
	// LastPush returns the newest push of an account since a time.
	LastPush(ctx context.Context, accountID int64, since time.Time) (LastPush, error)
}

// CheckOptions are what a Checker is made of.
type CheckOptions struct {
	DB        *database.DB
	Clock     clock.Clock
	Accounts  *Store
	Transport http.RoundTripper // to the platform
	// Tokens are those that sends use. Accounts of a third-party platform share them, because asking for a new one would
	// end the one in use; for others a check asks the platform with the AppSecret, which gives the same token again.
	Tokens wechat.TokenStore
	Pushes Pushes
	// CallbackURL is the address that an account's pushes have to go to, "" while the installation's own is not known.
	CallbackURL func(*Account) string
	// Probe bounds one call and Whole all calls of a check, in real time; 0 means 5 s and 45 s.
	Probe, Whole time.Duration
}

const (
	defaultProbe = 5 * time.Second
	defaultWhole = 45 * time.Second
	probeConns   = 4
)

// Checker finds out what an account may do and what is wrong with it. It is safe for concurrent use, keeps no goroutine,
// and shares nothing with sends but, for accounts of a third-party platform, their access token.
type Checker struct {
	o       CheckOptions
	refused noted
}

// NewChecker returns a Checker.
func NewChecker(o CheckOptions) *Checker {
	o.Probe, o.Whole = cmp.Or(o.Probe, defaultProbe), cmp.Or(o.Whole, defaultWhole)
	if o.Transport == nil {
		o.Transport = wechat.NewTransport(probeConns)
	}
	if o.CallbackURL == nil {
		o.CallbackURL = func(*Account) string { return "" }
	}
	return &Checker{o: o}
}

// Check looks at an account, corrects its kind and verification where the platform proves them wrong, and stores the
// report. What the platform or its absence shows is a finding; an error is ours: the database is away, or ctx has ended.
func (c *Checker) Check(ctx context.Context, a *Account) (*Report, error) {
	before, refusal, err := c.load(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	dates := &dateWatch{next: c.o.Transport, clock: c.o.Clock}
	r := &checkRun{
		c: c, a: a, now: c.o.Clock.Now(), before: before, refusal: refusal, dates: dates, platform: a.Platform(),
		memory: before.Memory, stands: standing{a.Kind, a.Verified, a.Permissions}, answers: map[Capability]answer{},
	}
	r.client = wechat.New(wechat.Options{Transport: dates, Clock: c.o.Clock, Timeout: c.o.Probe, Tokens: r.tokens()})
	if err := r.all(ctx); err != nil {
		return nil, fmt.Errorf("check account %d: %w", a.ID, err)
	}
	report := r.report()
	if err := c.save(ctx, report); err != nil {
		return nil, err
	}
	return report, nil
}

// checkRun is one check of one account.
type checkRun struct {
	c        *Checker
	a        *Account
	platform wechat.Account
	client   *wechat.Client
	dates    *dateWatch
	now      time.Time
	before   *Report
	refusal  refusal
	memory   memory

	findings []Finding
	stands   standing
	answers  map[Capability]answer
	rights   Rights
	info     *wechat.AuthorisedAccount
	silent   silence
	granted  bool     // an access token was given
	enough   []string // APIs with enough of their quota left
}

func (r *checkRun) tokens() wechat.TokenStore {
	if r.platform.Component != nil {
		return r.c.o.Tokens
	}
	return wechat.NewMemoryTokens()
}

// all looks at everything, what needs no call first.
func (r *checkRun) all(ctx context.Context) error {
	r.local()
	if err := r.superseded(ctx); err != nil {
		return err
	}
	lastPush, err := r.pushes(ctx)
	if err != nil {
		return err
	}
	calling, cancel := context.WithTimeout(ctx, r.c.o.Whole)
	defer cancel()
	err = r.calls(calling, lastPush)
	if ctx.Err() != nil {
		return ctx.Err() // what was not answered says nothing about the platform
	}
	if err != nil {
		return err
	}
	r.clockSkew()
	return r.correct(ctx)
}

// calls asks the platform. It goes on as long as that makes sense: after a refusal that concerns the account as a whole,
// each further call would only repeat it.
func (r *checkRun) calls(ctx context.Context, lastPush int64) error {
	for _, part := range []func(context.Context) error{
		r.access, r.authorised, r.families, r.budgets,
		func(ctx context.Context) error { return r.callbackHost(ctx, lastPush) },
	} {
		if err := part(ctx); err != nil {
			return err
		}
		if r.silent.over(ctx) {
			break
		}
	}
	r.unanswered(ctx)
	return nil
}

func (r *checkRun) add(code FindingCode, values map[string]string) *Finding {
	r.findings = append(r.findings, Finding{Code: code, Severity: code.severity(), Values: values})
	return &r.findings[len(r.findings)-1]
}

func (r *checkRun) found(code FindingCode) bool {
	return slices.ContainsFunc(r.findings, func(f Finding) bool { return f.Code == code })
}

func (r *checkRun) report() *Report {
	slices.SortStableFunc(r.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity.rank(), b.Severity.rank()), cmp.Compare(a.Code.place(), b.Code.place()))
	})
	return &Report{
		AccountID: r.a.ID, StartedAt: r.now.UnixMilli(), EndedAt: r.c.o.Clock.Now().UnixMilli(), Kind: r.stands.kind, Verified: r.stands.verified,
		Findings: r.findings, Rights: r.rights, Memory: r.memory,
	}
}
