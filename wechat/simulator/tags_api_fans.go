package simulator

import (
	"encoding/json"
	"fmt"
	"slices"

	"hongyan/internal/fault"
)

// tagIDs are the fan's tags in the order in which they were given.
func (f *fan) tagIDs() []int {
	tags := f.known().tags
	out := make([]int, len(tags))
	for i, t := range tags {
		out[i] = t.tag.id
	}
	return out
}

func (f *fan) taggedWith(x *tag) (tagging, bool) {
	for _, t := range f.known().tags {
		if t.tag == x {
			return t, true
		}
	}
	return tagging{}, false
}

func (f *fan) getTag(x *tag) {
	if _, has := f.taggedWith(x); !has {
		p := f.detail()
		p.tags = append(p.tags, tagging{x, x.fans.add(f)})
	}
}

func (f *fan) loseTag(x *tag) {
	if t, has := f.taggedWith(x); has {
		x.fans.remove(t.place)
		f.profile.tags = slices.DeleteFunc(f.profile.tags, func(t tagging) bool { return t.tag == x })
	}
}

// TagFan gives a fan a tag, as somebody at the account's website does. It answers NotFound
// for an unknown fan or tag and Conflict for a fan who does not follow or has 20 tags.
func (s *Simulator) TagFan(openID string, tagID int) error {
	var a *account
	if err := s.withFan(openID, func(f *fan) { a = f.account }); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	x := a.tags.find(tagID)
	if x == nil {
		return fault.New(fault.NotFound, "the account has no tag %d", tagID)
	}
	return s.tagOne(openID, x)
}

func (s *Simulator) tagOne(openID string, x *tag) error {
	var code int
	err := s.withFan(openID, func(f *fan) {
		if code = f.mayTag(x, true); code == codeOK {
			f.getTag(x)
		}
	})
	if err == nil && code != codeOK {
		return fault.New(fault.Conflict, "the fan cannot have the tag: %d %s", code, errText(code))
	}
	return err
}

// mayTag says whether a fan can be given a tag, or be relieved of it.
func (f *fan) mayTag(x *tag, on bool) int {
	_, has := f.taggedWith(x)
	switch {
	case !f.subscribed:
		return codeUnsubscribed
	case f.limited:
		return codeFanLimited
	case on && !has && len(f.known().tags) >= maxTagsOfFan:
		return codeFanTags
	}
	return codeOK
}

func (s *Simulator) serveBatchTagging(c *call)   { s.serveTagging(c, true) }
func (s *Simulator) serveBatchUntagging(c *call) { s.serveTagging(c, false) }

// serveTagging is POST /cgi-bin/tags/members/batchtagging and batchuntagging. A batch with
// a fan who cannot be tagged is refused as a whole; with Switches.TagPartly the others are
// tagged and the answer names those who were not.
func (s *Simulator) serveTagging(c *call, on bool) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return
	}
	in, code := parseTagging(c.body)
	if code != codeOK {
		c.refuse(code)
		return
	}
	// Until all is done: a tag that is deleted meanwhile must not get fans.
	a.mu.Lock()
	defer a.mu.Unlock()
	x := a.tags.find(in.tagID)
	if x == nil {
		c.refuse(codeTagID)
		return
	}
	failed, code := s.untaggable(a, x, in.openIDs, on)
	if code != codeOK && (!s.switches.Load().TagPartly || len(failed) == len(in.openIDs)) {
		c.refuse(code)
		return
	}
	for _, openID := range in.openIDs {
		if !slices.Contains(failed, openID) {
			s.setTag(a, openID, x, on)
		}
	}
	if len(failed) > 0 {
		s.answerPartly(c, failed)
	}
}

// untaggable lists who cannot be tagged, with the code of the first.
func (s *Simulator) untaggable(a *account, x *tag, openIDs []string, on bool) (failed []string, first int) {
	for _, openID := range openIDs {
		code := s.accountFan(a, openID, codeForeignOpenID, func(f *fan) int { return f.mayTag(x, on) })
		if code == codeOK {
			continue
		}
		if first == codeOK {
			first = code
		}
		failed = append(failed, openID)
	}
	return failed, first
}

func (s *Simulator) setTag(a *account, openID string, x *tag, on bool) {
	s.accountFan(a, openID, codeForeignOpenID, func(f *fan) int {
		switch {
		case !f.subscribed: // left since the check, and the tags with them
		case on:
			f.getTag(x)
		default:
			f.loseTag(x)
		}
		return codeOK
	})
}

// answerPartly answers 45171 with the list of those who were not tagged.
func (s *Simulator) answerPartly(c *call, failed []string) {
	list, err := json.Marshal(failed)
	if err != nil {
		c.refuse(codeBusy)
		return
	}
	c.refuse(codePartlyTagged)
	head := answerBody(codePartlyTagged, requestID(c.at.Unix(), s.seed, c.seq))
	c.answer = fmt.Appendf(nil, `%s,"fail_openid_list":%s}`, head[:len(head)-1], list)
}

type taggingIn struct {
	tagID   int
	openIDs []string
}

// parseTagging reads {"openid_list":["…"],"tagid":134}.
func parseTagging(body []byte) (in taggingIn, code int) {
	top, code := parseObject(body)
	if code != codeOK {
		return in, code
	}
	switch {
	case top["tagid"] == nil || top["openid_list"] == nil:
		return in, codeBadParameter
	case len(top) != 2:
		return in, codeUnknownField
	case readTagID(top, "tagid", &in.tagID) != codeOK:
		return in, codeBadJSON
	}
	in.openIDs, code = readOpenIDs(top["openid_list"], maxTagBatch)
	return in, code
}

// readOpenIDs reads a list of 1 to most openids.
func readOpenIDs(raw json.RawMessage, most int) ([]string, int) {
	var out []string
	switch {
	case json.Unmarshal(raw, &out) != nil:
		return nil, codeBadJSON
	case len(out) == 0 || len(out) > most:
		return nil, codeListSize
	}
	return out, codeOK
}

// serveTagFans is POST /cgi-bin/user/tag/get.
func (s *Simulator) serveTagFans(c *call) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return
	}
	tagID, after := 0, ""
	top, code := parseObject(c.body)
	switch {
	case code != codeOK:
	case readTagID(top, "tagid", &tagID) != codeOK, readString(top, "next_openid", &after) != codeOK:
		code = codeBadJSON
	case top["tagid"] == nil:
		code = codeBadParameter
	case len(top) > 2 || len(top) == 2 && top["next_openid"] == nil:
		code = codeUnknownField
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	x := a.tags.find(tagID)
	a.mu.Unlock()
	if x == nil {
		c.refuse(codeTagID)
		return
	}
	s.serveRoll(c, rollQuery{
		account: a, roll: &x.fans, after: after, most: maxTagPage, noTotal: true,
		place: func(f *fan) uint64 {
			t, _ := f.taggedWith(x)
			return t.place
		},
	})
}

// serveTagsOfFan is POST /cgi-bin/tags/getidlist.
func (s *Simulator) serveTagsOfFan(c *call) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return
	}
	top, code := parseObject(c.body)
	if code != codeOK {
		c.refuse(code)
		return
	}
	switch {
	case readString(top, "openid", &c.openID) != codeOK:
		c.refuse(codeBadJSON)
		return
	case len(top) != 1 || c.openID == "":
		c.refuse(codeBadParameter)
		return
	}
	var ids []int
	if code := s.accountFan(a, c.openID, codeForeignOpenID, func(f *fan) int { ids = f.tagIDs(); return codeOK }); code != codeOK {
		c.refuse(code)
		return
	}
	c.answerJSON(map[string][]int{"tagid_list": ids})
}
