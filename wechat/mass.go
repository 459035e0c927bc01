package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"hongyan/internal/fault"
)

const (
	apiMassAll      = "/cgi-bin/message/mass/sendall"
	apiMassList     = "/cgi-bin/message/mass/send"
	apiMassPreview  = "/cgi-bin/message/mass/preview"
	apiMassDelete   = "/cgi-bin/message/mass/delete"
	apiMassGet      = "/cgi-bin/message/mass/get"
	apiMassSpeed    = "/cgi-bin/message/mass/speed/get"
	apiMassSetSpeed = "/cgi-bin/message/mass/speed/set"

	codeMassExists   = 45065 // sent before under the same clientmsgid
	codeMassTooSoon  = 45066 // the same clientmsgid again within a minute
	massSpeedUnit    = 10_000
	slowestMassSpeed = 4
)

// The limits of a mass send (platform.md 5.2).
const (
	MinMassFans    = 2      // openids in one call
	MaxMassFans    = 10_000 // openids in one call
	MaxClientMsgID = 32     // bytes: the newer of the platform's two figures
	MaxMassImages  = 20     // pictures in one message, as in an image post
)

// MassSend is one mass send without its audience.
type MassSend struct {
	Message MassMessage
	// ClientMsgID makes a repetition harmless for 24 hours: the platform answers it with
	// 45065 and the first send's id. It is needed, at most MaxClientMsgID bytes of visible ASCII.
	ClientMsgID string
	// IgnoreReprint goes on when the originality check takes an article for a reprint and
	// the original's owner allows that. By default the send stops.
	IgnoreReprint bool
}

// MassJob is a mass send that the platform took. What became of it is told by a
// MASSSENDJOBFINISH event with the same MsgID, or by Client.MassState.
type MassJob struct {
	MsgID     int64
	MsgDataID int64 // of articles, the prefix of their msgid in the statistics; 0 otherwise
	// Repeated: the platform took an earlier call with the same ClientMsgID, and not this one.
	Repeated bool
}

// SendMassToAll sends to every fan (mass/sendall, platform.md 5.2). It enters the
// account's history and can be done once a Beijing day.
//
// nil means that the platform took the send, not that it was carried out. OutcomeOf tells
// what an error means, with two codes of their own:
//
//   - 45065: it was taken before under the same ClientMsgID (OutcomeSent, ClassDone). The
//     MassJob is returned beside the error, with the MsgID of the first call (0 when the
//     answer does not say it).
//   - 45066: the same ClientMsgID again within a minute. It proves nothing about the
//     earlier call, so it is OutcomeLost, ClassRetry.
//
// A lost call can be repeated with the same ClientMsgID for 24 hours. Other codes: 40007,
// 40152 (no such tag), 45028 (no quota), 48001, 48003 (agreement), 89501 to 89505 (another
// send waits for the administrator). A mass send that breaks a rule is not sent: the error
// names every field, as in "mpnews.media_id".
func (c *Client) SendMassToAll(ctx context.Context, acc Account, m MassSend) (MassJob, error) {
	return c.sendMass(ctx, acc, apiMassAll, &massRequest{send: m, filter: &wireFilter{ToAll: true}})
}

// SendMassToTag sends to the fans with a tag (mass/sendall). A service account can do it
// often, a subscription account once a Beijing day, sends to all included. Errors are
// those of SendMassToAll.
func (c *Client) SendMassToTag(ctx context.Context, acc Account, tagID int64, m MassSend) (MassJob, error) {
	return c.sendMass(ctx, acc, apiMassAll, &massRequest{send: m, filter: &wireFilter{TagID: &tagID}})
}

// SendMassToFans sends to 2 to 10,000 different fans (mass/send; verified service accounts
// only). The list is never cut into several calls, because each call counts. Errors are
// those of SendMassToAll.
func (c *Client) SendMassToFans(ctx context.Context, acc Account, openids []string, m MassSend) (MassJob, error) {
	return c.sendMass(ctx, acc, apiMassList, &massRequest{send: m, openids: openids})
}

// massAnswer is the platform's answer to a mass send. Some versions write ids as text.
type massAnswer struct {
	MsgID     json.Number `json:"msg_id"`
	MsgDataID json.Number `json:"msg_data_id"`
}

func (a *massAnswer) job() (MassJob, error) {
	var out MassJob
	var err error
	if out.MsgID, err = a.MsgID.Int64(); err != nil || out.MsgID <= 0 {
		return MassJob{}, errors.New("the answer has no usable msg_id")
	}
	if a.MsgDataID == "" {
		return out, nil
	}
	if out.MsgDataID, err = a.MsgDataID.Int64(); err != nil {
		return MassJob{}, errors.New("the answer has no usable msg_data_id")
	}
	return out, nil
}

func (c *Client) sendMass(ctx context.Context, acc Account, api string, r *massRequest) (MassJob, error) {
	if err := r.validate(); err != nil {
		return MassJob{}, err
	}
	body, err := encode(r.wire())
	if err != nil {
		return MassJob{}, fault.Wrap(fault.Invalid, err, "write the body of %s", api)
	}
	var answer massAnswer
	err = c.call(ctx, acc, &exchange{api: api, body: body, strict: true, out: &answer, refusal: &answer})
	if err != nil {
		return refusedMass(&answer, err)
	}
	job, err := answer.job()
	if err != nil {
		return MassJob{}, &Error{API: api, HTTPStatus: httpOK, Outcome: OutcomeLost, Err: err}
	}
	return job, nil
}

// refusedMass reads what a refusal says about an earlier call under the same id.
func refusedMass(answer *massAnswer, err error) (MassJob, error) {
	refusal, ok := errors.AsType[*Error](err)
	if !ok {
		return MassJob{}, err
	}
	switch refusal.Code {
	case codeMassExists:
		job, unread := answer.job()
		if unread != nil {
			refusal.Err = errors.Join(refusal.Err, unread)
		}
		job.Repeated = true
		return job, refusal
	case codeMassTooSoon:
		refusal.Outcome = OutcomeLost
	}
	return MassJob{}, refusal
}

// MassPreview names the one person who gets a preview, by exactly one of two names.
type MassPreview struct {
	OpenID  string
	WxName  string // the person's WeChat id
	Message MassMessage
}

// PreviewMass shows a mass send to one fan (mass/preview, 100 a day, platform.md 5.3). It
// uses up nobody's monthly four. Of several pictures the first is shown: a preview holds
// one. 40003 and 43004 are about the openid, 40132 is about the WeChat id.
func (c *Client) PreviewMass(ctx context.Context, acc Account, p MassPreview) error {
	check := &checker{}
	if (p.OpenID == "") == (p.WxName == "") {
		check.badf("touser", "one_receiver", "a preview goes to an openid or to a WeChat id, exactly one of them")
	}
	if err := errors.Join(append(check.errs, p.Message.Validate())...); err != nil {
		return err
	}
	return c.post(ctx, acc, apiMassPreview, p.wire(), nil)
}

// DeleteMass takes the page of one article of a mass send away, or of all with article 0
// (mass/delete, 10 a day, platform.md 5.3). Only articles and videos have a page; cards
// that were delivered stay. article counts from 1. Doing it twice is harmless. 40059 and
// 40060 name what does not exist, 40204 what cannot be deleted.
func (c *Client) DeleteMass(ctx context.Context, acc Account, msgID int64, article int) error {
	check := &checker{}
	check.massID(msgID)
	if article < 0 || article > MaxDraftArticles {
		check.badf("article_idx", "range", "an article's number is 1 to %d, 0 means all", MaxDraftArticles)
	}
	if len(check.errs) > 0 {
		return errors.Join(check.errs...)
	}
	in := struct {
		MsgID   int64 `json:"msg_id"`
		Article int   `json:"article_idx,omitempty"`
	}{msgID, article}
	return c.post(ctx, acc, apiMassDelete, in, nil)
}

// DeleteMassArticle is DeleteMass of the one article that has this address.
func (c *Client) DeleteMassArticle(ctx context.Context, acc Account, address string) error {
	if address == "" {
		return fault.BadField("url", "required", "this is needed")
	}
	in := struct {
		URL string `json:"url"`
	}{address}
	return c.post(ctx, acc, apiMassDelete, in, nil)
}

// MassState is the platform's word for where a mass send stands.
type MassState string

// The states. A send that waits for the administrator is MassSending.
const (
	MassSending MassState = "SENDING"
	MassSent    MassState = "SEND_SUCCESS"
	MassFailed  MassState = "SEND_FAIL"
	MassDeleted MassState = "DELETE"
)

// MassState asks where a mass send stands (mass/get, platform.md 5.3). 40059: there is no
// such send. A state that is not listed above is returned as the platform writes it.
func (c *Client) MassState(ctx context.Context, acc Account, msgID int64) (MassState, error) {
	check := &checker{}
	if check.massID(msgID); len(check.errs) > 0 {
		return "", errors.Join(check.errs...)
	}
	in := struct {
		MsgID string `json:"msg_id"`
	}{strconv.FormatInt(msgID, 10)}
	var out struct {
		State MassState `json:"msg_status"`
	}
	if err := c.post(ctx, acc, apiMassGet, in, &out); err != nil {
		return "", err
	}
	if out.State == "" {
		return "", withoutProof(apiMassGet, "msg_status")
	}
	return out.State, nil
}

// MassSpeed is how fast mass sends go out (platform.md 5.3).
type MassSpeed struct {
	Level     int // 0, the fastest, to 4
	PerMinute int // fans
}

// MassSpeed asks how fast mass sends go out (mass/speed/get).
func (c *Client) MassSpeed(ctx context.Context, acc Account) (MassSpeed, error) {
	var out struct {
		Level *int `json:"speed"`
		Real  *int `json:"realspeed"`
	}
	if err := c.post(ctx, acc, apiMassSpeed, nil, &out); err != nil {
		return MassSpeed{}, err
	}
	if out.Level == nil || out.Real == nil {
		return MassSpeed{}, withoutProof(apiMassSpeed, "speed")
	}
	return MassSpeed{Level: *out.Level, PerMinute: *out.Real * massSpeedUnit}, nil
}

// SetMassSpeed says how fast mass sends go out (mass/speed/set): level 0 is 800,000 fans a
// minute, 1 is 600,000, 2 is 450,000, 3 is 300,000 and 4 is 100,000.
func (c *Client) SetMassSpeed(ctx context.Context, acc Account, level int) error {
	if level < 0 || level > slowestMassSpeed {
		return fault.BadField("speed", "range", "a speed is 0, the fastest, to %d", slowestMassSpeed)
	}
	in := struct {
		Level int `json:"speed"`
	}{level}
	return c.post(ctx, acc, apiMassSetSpeed, in, nil)
}
