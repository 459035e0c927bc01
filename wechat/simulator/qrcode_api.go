package simulator

import (
	"cmp"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"hongyan/internal/fault"
)

// The paths of QR codes and short keys, for SetLimit, SetFaults and filters of the record.
const (
	PathQRCodeCreate  = "/cgi-bin/qrcode/create"
	PathShowQRCode    = "/cgi-bin/showqrcode"
	PathShortKeyGen   = "/cgi-bin/shorten/gen"
	PathShortKeyFetch = "/cgi-bin/shorten/fetch"
)

// The limits of platform.md 6.
const (
	maxExpiry         = 2_592_000 // seconds
	defaultQRExpiry   = 30        // seconds, of a temporary code that names none
	maxPermanentQR    = 100_000
	maxPermanentScene = 100_000
	maxTemporaryScene = 1<<32 - 1 // what is larger comes back as this
	maxSceneLength    = 64        // characters
)

// The codes of QR codes and short keys (platform.md 6.1, 12.3).
const (
	codeQRAction        = 40052
	codeQRInfo          = 40053
	codeQRScene         = 40129
	codeQRLimit         = 45029
	codeShortKeyData    = 9410010
	codeShortKeyExpiry  = 9410011
	codeShortKeyUnknown = 9410012
)

// qrcodeRoutes are QR codes and short keys (platform.md 6).
func qrcodeRoutes() []route {
	return []route{
		{PathQRCodeCreate, Limit{Daily: 100_000}, (*Simulator).serveQRCodeCreate},
		{PathShowQRCode, Limit{}, (*Simulator).serveShowQRCode},
		{PathShortKeyGen, Limit{}, (*Simulator).serveShortKeyGen},
		{PathShortKeyFetch, Limit{}, (*Simulator).serveShortKeyFetch},
	}
}

// qrcodeState is what an account keeps for QR codes and short keys (platform.md 6); it is guarded by the account's mutex.
type qrcodeState struct {
	seq       uint64
	codes     map[string]qrCode // by ticket
	permanent int               // how many of 100,000 are used
	keys      map[string]shortKey
}

// qrCode is a parametric QR code.
type qrCode struct {
	scene string
	url   string
	ends  time.Time // zero for a permanent code
}

func (q *qrCode) expired(at time.Time) bool { return !q.ends.IsZero() && !at.Before(q.ends) }

// qrRequest is the body of qrcode/create, read.
type qrRequest struct {
	permanent bool
	expiry    int64 // seconds
	scene     string
}

// serveQRCodeCreate is POST /cgi-bin/qrcode/create.
func (s *Simulator) serveQRCodeCreate(c *call) {
	a, ok := s.enterService(c, "POST")
	if !ok {
		return
	}
	in, code := parseQRCode(c.body, s.switches.Load())
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	q := &a.qrcode
	if in.permanent {
		if q.permanent >= maxPermanentQR {
			c.refuse(codeQRLimit)
			return
		}
		q.permanent++
	}
	q.seq++
	app := hashText(c.appID)
	one := qrCode{scene: in.scene, url: "http://weixin.qq.com/q/02" + letters(22, s.seed, app, q.seq, 21)}
	if !in.permanent {
		one.ends = c.at.Add(time.Duration(in.expiry) * time.Second)
	}
	name := "gQ" + letters(92, s.seed, app, q.seq, 22) + "=="
	if q.codes == nil {
		q.codes = map[string]qrCode{}
	}
	q.codes[name] = one
	c.answerJSON(struct {
		Ticket string `json:"ticket"`
		Expiry int64  `json:"expire_seconds,omitempty"`
		URL    string `json:"url"`
	}{name, in.expiry, one.url})
}

// parseQRCode reads the body of qrcode/create and answers the code of the first broken rule.
func parseQRCode(body []byte, sw *Switches) (qrRequest, int) {
	var in qrRequest
	top, code := parseObject(body)
	if code != codeOK {
		return in, code
	}
	var action string
	code = cmp.Or(readString(top, "action_name", &action), readMember(top, "expire_seconds", &in.expiry),
		onlyMembers(top, "action_name", "action_info", "expire_seconds"))
	if code != codeOK {
		return in, code
	}
	_, hasExpiry := top["expire_seconds"]
	text := false
	switch action {
	case "QR_SCENE":
	case "QR_STR_SCENE":
		text = true
	case "QR_LIMIT_SCENE":
		in.permanent = true
	case "QR_LIMIT_STR_SCENE":
		in.permanent, text = true, true
	default:
		return in, codeQRAction
	}
	switch {
	case in.permanent && hasExpiry:
		return in, codeUnknownField // it would not do what its sender expects
	case in.permanent:
	case !hasExpiry:
		in.expiry = cmp.Or(int64(time.Duration(sw.QRExpiry)/time.Second), defaultQRExpiry)
	case in.expiry < 1 || in.expiry > maxExpiry:
		return in, codeBadParameter
	}
	scene, code := sceneOf(top["action_info"])
	if code != codeOK {
		return in, code
	}
	if text {
		in.scene, code = textScene(scene, sw.LongScenes && !in.permanent)
	} else {
		in.scene, code = numberScene(scene, in.permanent)
	}
	return in, code
}

// sceneOf digs out action_info.scene.
func sceneOf(raw json.RawMessage) (map[string]json.RawMessage, int) {
	info, code := members(raw)
	if code != codeOK {
		return nil, codeQRInfo
	}
	if code := onlyMembers(info, "scene"); code != codeOK {
		return nil, code
	}
	scene, code := members(info["scene"])
	if code != codeOK {
		return nil, codeQRInfo
	}
	return scene, codeOK
}

func textScene(scene map[string]json.RawMessage, long bool) (string, int) {
	var text string
	if code := readString(scene, "scene_str", &text); code != codeOK {
		return "", code
	}
	if code := onlyMembers(scene, "scene_str"); code != codeOK {
		return "", code
	}
	if text == "" || (!long && utf8.RuneCountInString(text) > maxSceneLength) {
		return "", codeQRScene
	}
	return text, codeOK
}

func numberScene(scene map[string]json.RawMessage, permanent bool) (string, int) {
	var id int64
	if code := readMember(scene, "scene_id", &id); code != codeOK {
		return "", code
	}
	if code := onlyMembers(scene, "scene_id"); code != codeOK {
		return "", code
	}
	if id < 1 || (permanent && id > maxPermanentScene) {
		return "", codeQRScene
	}
	return strconv.FormatInt(min(id, maxTemporaryScene), 10), codeOK
}

// UsePermanentQRCodes counts n permanent QR codes as made: a shortcut to the limit of
// 100,000. It answers NotFound and Invalid.
func (s *Simulator) UsePermanentQRCodes(appID string, n int) error {
	a, err := s.account(appID)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if left := maxPermanentQR - a.qrcode.permanent; n < 0 || n > left {
		return fault.BadField("n", "range", "there are %d permanent codes left", left)
	}
	a.qrcode.permanent += n
	return nil
}

// withTicket puts the scene of an act's ticket into the act. What is scanned must be a code
// of the fan's account (NotFound) and still good (Conflict): the app shows an expired code
// as such and tells nobody.
func (s *Simulator) withTicket(act Act) (Act, error) {
	if act.Ticket == "" {
		return act, nil
	}
	var a *account
	if err := s.withFan(act.OpenID, func(f *fan) { a = f.account }); err != nil {
		return act, err
	}
	now := s.clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	one, ok := a.qrcode.codes[act.Ticket]
	switch {
	case !ok:
		return act, fault.New(fault.NotFound, "account %s has no QR code with this ticket", a.config().AppID)
	case one.expired(now):
		return act, fault.New(fault.Conflict, "the QR code has expired")
	}
	act.Scene = one.scene
	return act, nil
}
