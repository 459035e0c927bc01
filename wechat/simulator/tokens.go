package simulator

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// The two isolated chains of access tokens (platform.md 1.1).
const (
	chainClassic = iota // GET /cgi-bin/token
	chainStable         // POST /cgi-bin/stable_token
	chainCount
)

const (
	tokenLife       = 7200 * time.Second
	tokenOverlap    = 5 * time.Minute
	forcedPerDay    = 20
	forcedSpacing   = 30 * time.Second
	tokenLetters    = 136
	shortestTokenID = 60
)

// token is an access token that was given out.
type token struct {
	account *account
	value   string
	expires int64        // unix ms
	dead    atomic.Int64 // unix ms from which it is superseded; 0 while it is not
}

// chain is one line of tokens of an account; guarded by the account's mutex.
type chain struct {
	current    *token
	minted     uint64
	forced     windowCounter
	lastForced time.Time
}

// mint makes the next token of a chain. The former one is accepted for grace more.
func (s *Simulator) mint(a *account, which int, now time.Time, grace time.Duration) *token {
	c := &a.chains[which]
	if c.current != nil {
		c.current.dead.Store(now.Add(grace).UnixMilli())
	}
	c.minted++
	app := hashText(a.config().AppID)
	value := strconv.FormatUint(40+c.minted%60, 10) + "_" +
		letters(tokenLetters, s.seed, app, uint64(which), c.minted)
	c.current = &token{account: a, value: value, expires: now.Add(tokenLife).UnixMilli()}
	s.tokens.Store(value, c.current)
	return c.current
}

// stable returns the stable chain's token: the same one until five minutes before its end.
func (s *Simulator) stable(a *account, now time.Time, force bool) *token {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := &a.chains[chainStable]
	if force && mayForce(c, now) {
		c.lastForced = now
		return s.mint(a, chainStable, now, 0)
	}
	if c.current != nil && c.current.dead.Load() == 0 && c.current.expires-now.UnixMilli() > tokenOverlap.Milliseconds() {
		return c.current
	}
	return s.mint(a, chainStable, now, tokenOverlap)
}

// mayForce says whether a forced refresh refreshes: 20 a day, 30 s apart. Beyond that the
// call is answered like one without force (platform.md 1.1).
func mayForce(c *chain, now time.Time) bool {
	if !c.lastForced.IsZero() && now.Sub(c.lastForced) < forcedSpacing {
		return false
	}
	return c.forced.take(dayOf(now), forcedPerDay)
}

// Supersede replaces the account's stable token at once, as another party's forced refresh
// does: calls with the former token answer 40001 from now on.
func (s *Simulator) Supersede(appID string) error {
	a, err := s.account(appID)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s.mint(a, chainStable, s.clock.Now(), 0)
	return nil
}

// authorise finds the account of an access token, or answers why it is refused.
func (s *Simulator) authorise(value string, now time.Time) (*account, int) {
	if value == "" {
		return nil, codeTokenMissing
	}
	found, ok := s.tokens.Load(value)
	if !ok {
		if tokenLooksReal(value) {
			return nil, s.tokenCode(codeBadCredential)
		}
		return nil, s.tokenCode(codeBadToken)
	}
	t := found.(*token) //nolint:forcetypeassert,errcheck // only mint stores
	ms := now.UnixMilli()
	if dead := t.dead.Load(); dead != 0 && ms >= dead && ms < t.expires {
		return nil, s.tokenCode(codeBadCredential)
	}
	if ms >= t.expires {
		return nil, s.tokenCode(codeTokenExpired)
	}
	return t.account, codeOK
}

func (s *Simulator) tokenCode(code int) int {
	if all := s.switches.Load().TokenCode; all != 0 {
		return all
	}
	return code
}

// tokenLooksReal tells a token of the right shape from garbage.
func tokenLooksReal(value string) bool {
	head, tail, ok := strings.Cut(value, "_")
	if !ok || len(tail) < shortestTokenID {
		return false
	}
	if _, err := strconv.ParseUint(head, 10, 16); err != nil {
		return false
	}
	return strings.Trim(tail, base64url) == ""
}

// serveToken is GET /cgi-bin/token: every call makes a new token.
func (s *Simulator) serveToken(c *call) {
	if c.method != "GET" {
		c.refuse(codeRequireGet)
		return
	}
	q, err := url.ParseQuery(c.query)
	if err != nil {
		c.refuse(codeBadParameter)
		return
	}
	a := s.credentials(c, credentials{GrantType: q.Get("grant_type"), AppID: q.Get("appid"), Secret: q.Get("secret")})
	if a == nil {
		return
	}
	a.mu.Lock()
	t := s.mint(a, chainClassic, c.at, tokenOverlap)
	a.mu.Unlock()
	c.giveToken(t)
}

type credentials struct {
	GrantType    string
	AppID        string
	Secret       string
	ForceRefresh bool
}

// serveStableToken is POST /cgi-bin/stable_token.
func (s *Simulator) serveStableToken(c *call) {
	if c.method != "POST" {
		c.refuse(codeRequirePost)
		return
	}
	in, code := parseCredentials(c.body)
	if code != codeOK {
		c.refuse(code)
		return
	}
	if a := s.credentials(c, in); a != nil {
		c.giveToken(s.stable(a, c.at, in.ForceRefresh))
	}
}

func parseCredentials(body []byte) (credentials, int) {
	fields, code := parseObject(body)
	if code != codeOK {
		return credentials{}, code
	}
	var in credentials
	for name, raw := range fields {
		target := map[string]any{
			"grant_type": &in.GrantType, "appid": &in.AppID,
			"secret": &in.Secret, "force_refresh": &in.ForceRefresh,
		}[name]
		if target == nil {
			return in, codeUnknownField
		}
		if json.Unmarshal(raw, target) != nil {
			return in, codeBadJSON
		}
	}
	return in, codeOK
}

// credentials checks who asks for a token and counts the call. It answers the call and
// returns nil when it refuses.
func (s *Simulator) credentials(c *call, in credentials) *account {
	a, known := s.accounts.get(in.AppID)
	var code int
	switch {
	case in.AppID == "":
		code = codeAppIDMissing
	case in.Secret == "":
		code = codeSecretMissing
	case in.GrantType != "client_credential":
		code = codeBadGrantType
	case !known:
		code = codeBadAppID
	case a.config().Secret != in.Secret:
		code = codeBadSecret
	case !a.config().admits(callerIP):
		code = codeIPNotListed
	default:
		c.appID = in.AppID
		code = a.use[c.api].take(c.at)
	}
	if code != codeOK {
		c.refuse(code)
		return nil
	}
	return a
}

func (c *call) giveToken(t *token) {
	left := (t.expires - c.at.UnixMilli()) / 1000
	c.answer = append(c.answer, `{"access_token":"`...)
	c.answer = append(c.answer, t.value...)
	c.answer = append(c.answer, `","expires_in":`...)
	c.answer = strconv.AppendInt(c.answer, left, 10)
	c.answer = append(c.answer, '}')
}
