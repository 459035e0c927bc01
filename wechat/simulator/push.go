package simulator

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"hongyan/internal/fault"
	"hongyan/wechat/callback"
)

// pushTries is how often the platform tries to deliver a push in all (platform.md 2.3).
const pushTries = 3

// maxReply bounds the answer to a push.
const maxReply = 1 << 20

// Outcome is how a push ended.
type Outcome string

// The outcomes.
const (
	OutcomeAcknowledged Outcome = "acknowledged" // "success" or an empty body
	OutcomeReplied      Outcome = "replied"      // a passive reply reached the fan
	OutcomeTransferred  Outcome = "transferred"  // handed to a human agent
	OutcomeUnavailable  Outcome = "unavailable"  // the fan read 该公众号暂时无法提供服务，请稍后再试
	OutcomeSwallowed    Outcome = "swallowed"    // an agent's session took the message
	OutcomeNotPushed    Outcome = "not_pushed"   // nothing to push, or no callback
)

// Push is a message or event and what became of it.
type Push struct {
	Seq     uint64    `json:"seq"`
	AppID   string    `json:"appid"`
	OpenID  string    `json:"openid"`
	Act     ActKind   `json:"act"`
	At      time.Time `json:"at"`
	Body    string    `json:"body,omitempty"` // clear XML
	Tries   []Try     `json:"tries,omitempty"`
	Outcome Outcome   `json:"outcome"`
	Reason  string    `json:"reason,omitempty"` // why it is unavailable
	Reply   *Arrival  `json:"reply,omitempty"`

	message bool
	wire    []byte   // the body that was posted, the same in every try
	to      *Account // a component as the receiver (platform.md 1.5), nil for the account AppID
}

// Try is one delivery of a push.
type Try struct {
	At     time.Time `json:"at"`
	Status int       `json:"status,omitempty"` // HTTP status, 0 without an answer
	Answer string    `json:"answer,omitempty"`
	Error  string    `json:"error,omitempty"`
}

// PushFaults make the platform repeat pushes that were answered.
type PushFaults struct {
	// LoseAnswers is how many tries of a push are answered in vain: the callback handled
	// them, the platform saw nothing and tries again. 3 loses the push.
	LoseAnswers int `json:"lose_answers"`
	// Share of the pushes that this happens to, 0 to 1.
	Share float64 `json:"share"`
}

// SetPushFaults changes the faults of pushes from now on.
func (s *Simulator) SetPushFaults(f PushFaults) error {
	if f.LoseAnswers < 0 || f.LoseAnswers > pushTries || !(f.Share >= 0 && f.Share <= 1) {
		return fault.BadField("push_faults", "range", "lose 0 to 3 answers of a share between 0 and 1")
	}
	s.push.faults.Store(&f)
	return nil
}

// newPush prepares the push of an event; the fan is locked.
func (s *Simulator) newPush(f *fan, kind ActKind, e effect, now time.Time) (*Push, error) {
	p := s.silentPush(f, kind, "", now)
	p.message = e.message
	e.event.ToUser, e.event.FromUser = f.account.config().OriginalID, f.openID
	e.event.CreatedAt = now.Truncate(time.Second)
	if e.message {
		// Beyond 2^53, as on the platform.
		e.event.MsgID = firstMsgID + s.messages.Add(1)
	}
	body, err := callback.BuildXML(e.event)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "simulator: build the push")
	}
	p.Body = string(body)
	return p, nil
}

const firstMsgID = 24_000_000_000_000_000

func (s *Simulator) silentPush(f *fan, kind ActKind, outcome Outcome, now time.Time) *Push {
	return &Push{
		Seq: s.push.seq.Add(1), AppID: f.account.config().AppID, OpenID: f.openID,
		Act: kind, At: now, Outcome: outcome,
	}
}

// deliverPush posts a push until it is answered, at most three times, and records it.
func (s *Simulator) deliverPush(ctx context.Context, p *Push) Push {
	if p.Outcome == "" {
		s.attempt(ctx, p)
	}
	s.record.pushed(p)
	return *p
}

func (s *Simulator) attempt(ctx context.Context, p *Push) {
	cfg, err := s.receiver(p)
	if err != nil || cfg.Callback.URL == "" {
		p.Outcome = OutcomeNotPushed
		return
	}
	if p.wire, err = s.wireBody(cfg, p); err != nil {
		p.Outcome, p.Reason = OutcomeUnavailable, err.Error()
		return
	}
	lose := s.push.lost(s.seed, p.Seq)
	for n := range pushTries {
		if n > 0 && !s.sleep(ctx, time.Duration(s.switches.Load().PushSpacing)) {
			break
		}
		t, answer := s.post(ctx, cfg, p, n)
		if t.Error == "" && n < lose {
			t.Error = "the answer was lost"
		}
		p.Tries = append(p.Tries, t)
		if t.Error == "" {
			s.takeReply(cfg, p, answer)
			return
		}
	}
	p.Outcome, p.Reason = OutcomeUnavailable, "no answer"
	if n := len(p.Tries); n > 0 {
		p.Reason = p.Tries[n-1].Error
	}
}

// Redeliver posts a push once more with the same body, as the platform sometimes does with
// one that was acknowledged. Its answer is recorded and ignored: the fan has an answer.
func (s *Simulator) Redeliver(ctx context.Context, p Push) (Try, error) {
	cfg, err := s.receiver(&p)
	if err != nil {
		return Try{}, err
	}
	if p.wire == nil {
		return Try{}, fault.New(fault.Conflict, "push %d was never posted", p.Seq)
	}
	t, _ := s.post(ctx, cfg, &p, len(p.Tries)+pushTries)
	return t, nil
}

// wireBody is the body as the mode of the callback wants it. In safe mode only the
// receiver stays readable; in compatible mode everything does.
func (s *Simulator) wireBody(cfg *Account, p *Push) ([]byte, error) {
	if cfg.Callback.Mode == ModePlain {
		return []byte(p.Body), nil
	}
	crypto, err := callback.NewCrypto(cfg.Callback.AESKey)
	if err != nil {
		return nil, fmt.Errorf("encrypt the push: %w", err)
	}
	var random [16]byte
	binary.BigEndian.PutUint64(random[:8], mix(s.seed, p.Seq, 1))
	binary.BigEndian.PutUint64(random[8:], mix(s.seed, p.Seq, 2))
	encrypted := crypto.Encrypt(cfg.AppID, random, []byte(p.Body))
	element := "<Encrypt><![CDATA[" + encrypted + "]]></Encrypt></xml>"
	if cfg.Callback.Mode == ModeCompatible {
		return append(bytes.TrimSuffix([]byte(p.Body), []byte("</xml>")), element...), nil
	}
	if p.to != nil {
		return []byte("<xml><AppId><![CDATA[" + cfg.AppID + "]]></AppId>" + element), nil
	}
	return []byte("<xml><ToUserName><![CDATA[" + cfg.OriginalID + "]]></ToUserName>" + element), nil
}

// post is one try. Timestamp and nonce, and so the signatures, are new in each try; the
// body is not. An error in the Try means that the platform tries again.
func (s *Simulator) post(ctx context.Context, cfg *Account, p *Push, n int) (Try, []byte) {
	t := Try{At: s.clock.Now()}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// On the injected clock, so that a test can let five seconds pass.
	deadline := s.clock.NewTimer(s.push.timeout)
	go func() {
		wait(ctx, s.done, deadline)
		cancel()
	}()
	req, err := s.request(ctx, cfg, p, n)
	if err != nil {
		t.Error = err.Error()
		return t, nil
	}
	resp, err := s.push.transport.RoundTrip(req)
	if err != nil {
		t.Error = err.Error()
		return t, nil
	}
	t.Status = resp.StatusCode
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	t.Answer = string(answer)
	switch {
	case err != nil:
		t.Error = err.Error()
	case resp.StatusCode != http.StatusOK:
		t.Error = "HTTP " + strconv.Itoa(resp.StatusCode)
	}
	return t, answer
}

func (s *Simulator) request(ctx context.Context, cfg *Account, p *Push, n int) (*http.Request, error) {
	target, err := url.Parse(cfg.Callback.URL)
	if err != nil {
		return nil, fmt.Errorf("callback address: %w", err)
	}
	stamp := strconv.FormatInt(s.clock.Now().Unix(), 10)
	nonce := strconv.FormatUint(mix(s.seed, p.Seq, uint64(n), 3)%10_000_000_000, 10)
	q := target.Query()
	q.Set("signature", callback.Sign(cfg.Callback.Token, stamp, nonce))
	q.Set("timestamp", stamp)
	q.Set("nonce", nonce)
	q.Set("openid", p.OpenID)
	if cfg.Callback.Mode != ModePlain {
		q.Set("encrypt_type", "aes")
		q.Set("msg_signature", callback.Sign(cfg.Callback.Token, stamp, nonce, encryptedPart(p.wire)))
	}
	target.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(p.wire))
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	req.Header.Set("Content-Type", "text/xml")
	req.Header.Set("User-Agent", "Mozilla/4.0")
	return req, nil
}

func encryptedPart(wire []byte) string {
	_, rest, _ := bytes.Cut(wire, []byte("<Encrypt><![CDATA["))
	part, _, _ := bytes.Cut(rest, []byte("]]>"))
	return string(part)
}

// CheckURL does what saving the callback's settings does: GET with an echostr that must
// come back as it is. It answers Unavailable when it does not.
func (s *Simulator) CheckURL(ctx context.Context, appID string) error {
	a, err := s.account(appID)
	if err != nil {
		return err
	}
	cfg := a.config()
	echo := strconv.FormatUint(mix(s.seed, s.push.seq.Add(1), 4), 10)
	req, err := s.request(ctx, cfg, &Push{}, 0)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "check the callback")
	}
	q := req.URL.Query()
	for _, name := range []string{"openid", "encrypt_type", "msg_signature"} {
		q.Del(name)
	}
	q.Set("echostr", echo)
	req.Method, req.URL.RawQuery, req.Body, req.ContentLength, req.GetBody = http.MethodGet, q.Encode(), nil, 0, nil
	resp, err := s.push.transport.RoundTrip(req)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "check the callback")
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "check the callback")
	}
	if resp.StatusCode != http.StatusOK || string(answer) != echo {
		return fault.New(fault.Unavailable, "the callback answered the check with %d and %d bytes, not the echo",
			resp.StatusCode, len(answer))
	}
	return nil
}
