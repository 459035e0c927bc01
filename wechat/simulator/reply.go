package simulator

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"hongyan/wechat/callback"
)

// takeReply reads the answer to a push. What it cannot read makes the account "not
// available" in the fan's chat (platform.md 2.3); it is not asked again.
func (s *Simulator) takeReply(cfg *Account, p *Push, answer []byte) {
	if len(answer) == 0 || string(answer) == "success" {
		p.Outcome = OutcomeAcknowledged
		return
	}
	reply, err := s.readReply(cfg, p, answer)
	if err != nil {
		p.Outcome, p.Reason = OutcomeUnavailable, err.Error()
		return
	}
	switch reply.kind {
	case "transfer_customer_service":
		s.transfer(p, cfg, reply.content)
		return
	case "transfer_biz_ai_ivr": // WeChat's own AI answers; nothing of ours arrives
		p.Outcome = OutcomeAcknowledged
		return
	}
	arrival := Arrival{
		AppID: p.AppID, OpenID: p.OpenID, Via: ViaPassive, Kind: reply.kind, Content: reply.content,
		Key: s.key(reply.kind, reply.content), At: s.clock.Now(),
	}
	err = s.withFan(p.OpenID, func(f *fan) {
		if sw := s.switches.Load(); sw.PassiveConsumes {
			// Without anything left the reply arrives all the same: it needs no grant.
			f.grants.spend(sw.Grants, arrival.At.UnixMilli())
		}
		s.hand(f, &arrival)
	})
	if err != nil {
		p.Outcome, p.Reason = OutcomeUnavailable, err.Error()
		return
	}
	p.Outcome, p.Reply = OutcomeReplied, &arrival
	s.hooks.tell(arrival)
}

// transfer opens an agent's session. The platform ignores a transfer of an event.
func (s *Simulator) transfer(p *Push, cfg *Account, agent string) {
	p.Outcome = OutcomeAcknowledged
	if !p.message {
		return
	}
	if agent == "" {
		agent = s.onlineAgent(cfg.AppID)
	}
	err := s.withFan(p.OpenID, func(f *fan) {
		if now := s.clock.Now(); agent != "" {
			f.takeOver(agent, now)
		} else if f.waitSince == 0 {
			f.waitSince = now.UnixMilli() // nobody is there: the fan waits in the queue and stays ours
		}
	})
	if err == nil && agent != "" {
		p.Outcome = OutcomeTransferred
	}
}

type passive struct {
	kind    string
	content string
}

// readReply opens and checks a passive reply.
func (s *Simulator) readReply(cfg *Account, p *Push, answer []byte) (passive, error) {
	root, err := parseElement(answer)
	if err != nil {
		return passive{}, err
	}
	encrypted := root.child("Encrypt") != nil
	switch {
	case encrypted && cfg.Callback.Mode == ModePlain:
		return passive{}, errors.New("an encrypted reply in plain mode")
	case !encrypted && cfg.Callback.Mode == ModeSafe:
		return passive{}, errors.New("a clear reply in safe mode")
	case encrypted:
		opened, err := openReply(cfg, root)
		if err != nil {
			return passive{}, err
		}
		if root, err = parseElement(opened); err != nil {
			return passive{}, err
		}
	}
	return s.checkReply(cfg, p, root)
}

// openReply verifies and decrypts the envelope of platform.md 2.2.
func openReply(cfg *Account, root *element) ([]byte, error) {
	if err := root.only("Encrypt", "MsgSignature", "TimeStamp", "Nonce"); err != nil {
		return nil, err
	}
	stamp, nonce, encrypted := root.text("TimeStamp"), root.text("Nonce"), root.text("Encrypt")
	if _, err := strconv.ParseInt(stamp, 10, 64); err != nil || nonce == "" {
		return nil, errors.New("the envelope has no TimeStamp or Nonce")
	}
	if callback.Sign(cfg.Callback.Token, stamp, nonce, encrypted) != root.text("MsgSignature") {
		return nil, errors.New("the envelope's signature is wrong")
	}
	crypto, err := callback.NewCrypto(cfg.Callback.AESKey)
	if err != nil {
		return nil, fmt.Errorf("open the reply: %w", err)
	}
	opened, err := crypto.Decrypt(cfg.AppID, encrypted)
	if err != nil {
		return nil, fmt.Errorf("open the reply: %w", err)
	}
	return opened, nil
}

// checkReply checks the common fields and those of the kind.
func (s *Simulator) checkReply(cfg *Account, p *Push, root *element) (passive, error) {
	kind := root.text("MsgType")
	switch {
	case root.text("ToUserName") != p.OpenID:
		return passive{}, errors.New("ToUserName is not the fan")
	case root.text("FromUserName") != cfg.OriginalID:
		return passive{}, errors.New("FromUserName is not the account")
	}
	if at, err := strconv.ParseInt(root.text("CreateTime"), 10, 64); (err != nil || at <= 0) && !s.switches.Load().LooseRequests {
		return passive{}, errors.New("CreateTime is not a time")
	}
	own, err := s.replyContent(kind, root)
	if err != nil {
		return passive{}, err
	}
	names := append([]string{"ToUserName", "FromUserName", "CreateTime", "MsgType"}, own.names...)
	if err := root.only(names...); err != nil {
		return passive{}, err
	}
	return passive{kind: kind, content: own.content}, nil
}

type replyParts struct {
	names   []string // the elements of the kind
	content string
}

func (s *Simulator) replyContent(kind string, root *element) (replyParts, error) {
	switch kind {
	case "text":
		text := root.text("Content")
		if limit := s.rules.Load().TextBytes; text == "" || (limit > 0 && len(text) > limit) {
			return replyParts{}, fmt.Errorf("a text of %d bytes", len(text))
		}
		return replyParts{[]string{"Content"}, text}, nil
	case "image":
		return nested(root, "Image", "MediaId")
	case "voice":
		return nested(root, "Voice", "MediaId")
	case "video":
		return nested(root, "Video", "MediaId", "Title", "Description")
	case "music":
		return nested(root, "Music", "ThumbMediaId", "Title", "Description", "MusicUrl", "HQMusicUrl")
	case "news":
		return newsReply(root)
	case "transfer_biz_ai_ivr":
		return replyParts{}, nil
	case "transfer_customer_service":
		info := root.child("TransInfo")
		if info == nil {
			return replyParts{}, nil
		}
		return replyParts{[]string{"TransInfo"}, info.text("KfAccount")}, info.only("KfAccount")
	}
	return replyParts{}, fmt.Errorf("MsgType %q is unknown", kind)
}

// nested checks a content element whose first member is required.
func nested(root *element, name, required string, optional ...string) (replyParts, error) {
	e := root.child(name)
	if e == nil || e.text(required) == "" {
		return replyParts{}, fmt.Errorf("%s has no %s", name, required)
	}
	return replyParts{[]string{name}, e.render()}, e.only(append(optional, required)...)
}

// newsReply wants one article: more have been dropped since 2018 (platform.md 2.6).
func newsReply(root *element) (replyParts, error) {
	list := root.child("Articles")
	if list == nil || len(list.kids) != 1 || root.text("ArticleCount") != "1" || list.kids[0].name != "item" {
		return replyParts{}, errors.New("news must have exactly one article")
	}
	err := list.kids[0].only("Title", "Description", "PicUrl", "Url")
	return replyParts{[]string{"ArticleCount", "Articles"}, list.render()}, err
}

// element is a small XML tree. The simulator reads replies with encoding/xml and not with
// the parser of wechat/callback, so that the two check each other.
type element struct {
	name string
	data string
	kids []*element
}

func parseElement(body []byte) (*element, error) {
	dec := xml.NewDecoder(bytes.NewReader(body))
	root := &element{}
	stack := []*element{root}
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("not XML: %w", err)
		}
		top := stack[len(stack)-1]
		switch t := tok.(type) {
		case xml.StartElement:
			kid := &element{name: t.Name.Local}
			top.kids = append(top.kids, kid)
			stack = append(stack, kid)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if top == root && len(bytes.TrimSpace(t)) > 0 {
				return nil, errors.New("text outside of the XML")
			}
			top.data += string(t)
		default:
			return nil, fmt.Errorf("%T has no place in a reply", tok)
		}
	}
	if len(root.kids) != 1 || root.kids[0].name != "xml" {
		return nil, errors.New("no <xml> element")
	}
	return root.kids[0], nil
}

func (e *element) child(name string) *element {
	for _, k := range e.kids {
		if k.name == name {
			return k
		}
	}
	return nil
}

func (e *element) text(name string) string {
	if k := e.child(name); k != nil && len(k.kids) == 0 {
		return k.data
	}
	return ""
}

// only refuses members that are not named, and repeated ones.
func (e *element) only(names ...string) error {
	seen := map[string]bool{}
	for _, k := range e.kids {
		if !slices.Contains(names, k.name) || seen[k.name] {
			return fmt.Errorf("%s has a stray or repeated %s", e.name, k.name)
		}
		seen[k.name] = true
	}
	return nil
}

// render writes the members as name=value lines, for the record.
func (e *element) render() string {
	var b strings.Builder
	for _, k := range e.kids {
		if len(k.kids) > 0 {
			b.WriteString(k.render())
			continue
		}
		b.WriteString(k.name + "=" + k.data + "\n")
	}
	return b.String()
}
