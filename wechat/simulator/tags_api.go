package simulator

import (
	"encoding/json"
	"slices"
)

// The paths of tags and of the fans who have them.
const (
	PathTagsCreate     = "/cgi-bin/tags/create"
	PathTagsGet        = "/cgi-bin/tags/get"
	PathTagsUpdate     = "/cgi-bin/tags/update"
	PathTagsDelete     = "/cgi-bin/tags/delete"
	PathTagFans        = "/cgi-bin/user/tag/get"
	PathBatchTagging   = "/cgi-bin/tags/members/batchtagging"
	PathBatchUntagging = "/cgi-bin/tags/members/batchuntagging"
	PathTagsOfFan      = "/cgi-bin/tags/getidlist"
)

const (
	maxTags       = 100
	maxTagsOfFan  = 20
	maxTagName    = 30 // characters or bytes, see Switches.NamesInBytes
	maxDeletedTag = 100_000
	maxTagBatch   = 50
	maxTagPage    = 10_000

	starTag    = 2 // the system's ids are 0 (no tag), 1 (blacklist) and 2 (starred)
	firstTagID = 100
)

// The codes of tags.
const (
	codeTagCount      = 45056
	codeTagTooBig     = 45057
	codeSystemTag     = 45058
	codeFanTags       = 45059
	codeTagName       = 45157
	codeTagNameLength = 45158
	codeTagID         = 45159
	codePartlyTagged  = 45171
	codeForeignOpenID = 49003
	codeUnsubscribed  = 50005
)

// tagsRoutes are tags (platform.md 7.2).
func tagsRoutes() []route {
	return []route{
		{PathTagsCreate, Limit{Daily: 1_000}, (*Simulator).serveTagCreate},
		{PathTagsGet, Limit{Daily: 1_000}, (*Simulator).serveTagsGet},
		{PathTagsUpdate, Limit{Daily: 1_000}, (*Simulator).serveTagUpdate},
		{PathTagsDelete, Limit{}, (*Simulator).serveTagDelete},
		{PathTagFans, Limit{}, (*Simulator).serveTagFans},
		{PathBatchTagging, Limit{Daily: 100_000}, (*Simulator).serveBatchTagging},
		{PathBatchUntagging, Limit{Daily: 100_000}, (*Simulator).serveBatchUntagging},
		{PathTagsOfFan, Limit{}, (*Simulator).serveTagsOfFan},
	}
}

// tagsState is what an account keeps for tags (platform.md 7.2); it is guarded by the account's mutex.
type tagsState struct {
	made []*tag // by id; the starred tag comes with the first use
	last int
}

// tag is a tag of an account. Its id never changes; its name is guarded by the account's mutex.
type tag struct {
	id   int
	name string
	fans roll
}

// tagging is a fan's having of a tag.
type tagging struct {
	tag   *tag
	place uint64 // in the tag's roll
}

func (t *tagsState) list() []*tag {
	if t.made == nil {
		t.made, t.last = []*tag{{id: starTag, name: "星标组"}}, firstTagID-1
	}
	return t.made
}

func (t *tagsState) find(id int) *tag {
	for _, x := range t.list() {
		if x.id == id {
			return x
		}
	}
	return nil
}

// checkName judges the name of a new tag, or of the tag with an id.
func (t *tagsState) checkName(name string, id int, sw *Switches) int {
	if name == "" {
		return codeTagName
	}
	if sw.nameLength(name) > maxTagName {
		return codeTagNameLength
	}
	if slices.ContainsFunc(t.list(), func(x *tag) bool { return x.name == name && x.id != id }) {
		return codeTagName
	}
	return codeOK
}

// Tag is a tag of an account as the platform knows it.
type Tag struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
	Fans int    `json:"count"`
}

// Tags lists an account's tags by id, the starred tag of the system first. It answers NotFound.
func (s *Simulator) Tags(appID string) ([]Tag, error) {
	a, err := s.account(appID)
	if err != nil {
		return nil, err
	}
	return a.tagList(), nil
}

func (a *account) tagList() []Tag {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.tags.list()
	out := make([]Tag, len(list))
	for i, t := range list {
		out[i] = Tag{ID: t.id, Name: t.name, Fans: t.fans.count()}
	}
	return out
}

// serveTagCreate is POST /cgi-bin/tags/create.
func (s *Simulator) serveTagCreate(c *call) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return
	}
	in, code := parseTag(c.body, "name")
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	t := &a.tags
	if code := t.checkName(in.Name, 0, s.switches.Load()); code != codeOK {
		c.refuse(code)
		return
	}
	if len(t.list()) > maxTags { // the starred tag is one of them
		c.refuse(codeTagCount)
		return
	}
	t.last++
	t.made = append(t.made, &tag{id: t.last, name: in.Name})
	in.ID = t.last
	c.answerJSON(map[string]tagIn{"tag": in})
}

// serveTagsGet is GET /cgi-bin/tags/get.
func (s *Simulator) serveTagsGet(c *call) {
	a, ok := s.enter(c, "GET", true)
	if !ok {
		return
	}
	if code := c.checkQuery(); code != codeOK {
		c.refuse(code)
		return
	}
	c.answerJSON(map[string][]Tag{"tags": a.tagList()})
}

// serveTagUpdate is POST /cgi-bin/tags/update.
func (s *Simulator) serveTagUpdate(c *call) {
	s.changeTag(c, func(t *tagsState, x *tag, in tagIn) int {
		if code := t.checkName(in.Name, x.id, s.switches.Load()); code != codeOK {
			return code
		}
		x.name = in.Name
		return codeOK
	}, "id", "name")
}

// serveTagDelete is POST /cgi-bin/tags/delete: the fans lose the tag.
func (s *Simulator) serveTagDelete(c *call) {
	s.changeTag(c, func(t *tagsState, x *tag, _ tagIn) int {
		if x.fans.count() > maxDeletedTag {
			return codeTagTooBig
		}
		for _, f := range x.fans.fans() {
			shard := s.fans.shard(f.openID)
			shard.mu.Lock()
			f.loseTag(x)
			shard.mu.Unlock()
		}
		t.made = slices.DeleteFunc(t.made, func(y *tag) bool { return y == x })
		return codeOK
	}, "id")
}

// changeTag finds the tag that a body names and changes it; the body's tag has the fields.
func (s *Simulator) changeTag(c *call, change func(*tagsState, *tag, tagIn) int, fields ...string) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return
	}
	in, code := parseTag(c.body, fields...)
	if code == codeOK && in.ID >= 0 && in.ID <= starTag {
		code = codeSystemTag
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	x := a.tags.find(in.ID)
	if x == nil {
		c.refuse(codeTagID)
		return
	}
	c.refuse(change(&a.tags, x, in))
}

// tagIn is a tag in a request and in the answer to its creation.
type tagIn struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

// parseTag reads {"tag":{…}} with exactly the fields.
func parseTag(body []byte, fields ...string) (in tagIn, code int) {
	top, code := parseObject(body)
	if code != codeOK {
		return in, code
	}
	raw, ok := top["tag"]
	switch {
	case !ok:
		return in, codeBadParameter
	case len(top) != 1:
		return in, codeUnknownField
	}
	inner, code := members(raw)
	if code != codeOK {
		return in, code
	}
	for _, name := range fields {
		if inner[name] == nil {
			return in, codeBadParameter
		}
	}
	if len(inner) != len(fields) {
		return in, codeUnknownField
	}
	if readTagID(inner, "id", &in.ID) != codeOK || readString(inner, "name", &in.Name) != codeOK {
		return in, codeBadJSON
	}
	return in, codeOK
}

// readTagID reads a whole number, if the member is there.
func readTagID(from map[string]json.RawMessage, name string, to *int) int {
	raw, ok := from[name]
	if ok && (string(raw) == "null" || json.Unmarshal(raw, to) != nil) {
		return codeBadJSON
	}
	return codeOK
}
