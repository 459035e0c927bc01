package simulator

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"hongyan/internal/fault"
)

// The paths of the list of fans, their details and remarks.
const (
	PathUserGet       = "/cgi-bin/user/get"
	PathUserInfo      = "/cgi-bin/user/info"
	PathUserInfoBatch = "/cgi-bin/user/info/batchget"
	PathUserRemark    = "/cgi-bin/user/info/updateremark"
)

const (
	maxFansPage       = 10_000
	maxInfoBatch      = 100
	remarkTooLong     = 30 // characters or bytes, see Switches.NamesInBytes: a remark is shorter
	codeBadRemark     = 40092
	codeListSize      = 40032
	codeOpenIDMissing = 41009
)

// usersRoutes are user list, info, remark (platform.md 7.1).
func usersRoutes() []route {
	return []route{
		{PathUserGet, Limit{Daily: 500}, (*Simulator).serveUserGet},
		{PathUserInfo, Limit{Daily: 5_000_000}, (*Simulator).serveUserInfo},
		{PathUserInfoBatch, Limit{}, (*Simulator).serveUserInfoBatch},
		{PathUserRemark, Limit{Daily: 10_000}, (*Simulator).serveUserRemark},
	}
}

// usersState is what an account keeps for user list, info, remark (platform.md 7.1). The
// list has a mutex of its own, because fans follow and leave under theirs.
type usersState struct {
	followers    roll // in order of their last follow
	openPlatform bool // bound to an Open Platform account; guarded by the account's mutex
}

// fanProfile is what the platform keeps of a fan beside the conversation; most fans of a
// large account have none. It is guarded by the fan's shard.
type fanProfile struct {
	unionID    string
	language   string
	remark     string
	scene      string // ADD_SCENE_…, "" is defaultScene
	qrScene    string // of the QR code that the fan followed by
	blackPlace uint64 // on the account's blacklist; kept after leaving it
	tags       []tagging
}

const (
	defaultScene = "ADD_SCENE_SEARCH"
	qrScene      = "ADD_SCENE_QR_CODE"
)

// FollowScenes lists the ways to follow that user/info tells (platform.md 7.1).
func FollowScenes() []string {
	return []string{
		defaultScene, "ADD_SCENE_ACCOUNT_MIGRATION", "ADD_SCENE_PROFILE_CARD", qrScene, "ADD_SCENE_PROFILE_LINK",
		"ADD_SCENE_PROFILE_ITEM", "ADD_SCENE_PAID", "ADD_SCENE_WECHAT_ADVERTISEMENT", "ADD_SCENE_REPRINT",
		"ADD_SCENE_LIVESTREAM", "ADD_SCENE_CHANNELS", "ADD_SCENE_WXA", "ADD_SCENE_OTHERS",
	}
}

// detail is the fan's profile for writing.
func (f *fan) detail() *fanProfile {
	if f.profile == nil {
		f.profile = &fanProfile{}
	}
	return f.profile
}

// known is the fan's profile for reading.
func (f *fan) known() fanProfile {
	if f.profile == nil {
		return fanProfile{}
	}
	return *f.profile
}

// admit sets what NewFan tells of a fan. The fan is locked.
func (f *fan) admit(in *NewFan, now time.Time) error {
	if in.FollowScene != "" && !slices.Contains(FollowScenes(), in.FollowScene) {
		return fault.BadField("follow_scene", "unknown", "no way to follow is called %q", in.FollowScene)
	}
	if in.UnionID != "" || in.Language != "" || in.FollowScene != "" {
		p := f.detail()
		p.unionID, p.language, p.scene = in.UnionID, in.Language, in.FollowScene
	}
	if in.Subscribed {
		if !in.FollowedAt.IsZero() {
			now = in.FollowedAt
		}
		f.startFollowing(now)
	}
	return nil
}

// startFollowing puts the fan at the end of the list of fans. The fan is locked.
func (f *fan) startFollowing(now time.Time) {
	f.subscribed, f.followedAt = true, now.Unix()
	f.followPlace = f.account.users.followers.add(f)
}

// followBy is startFollowing by a QR code, or by a search when scene is "".
func (f *fan) followBy(scene string, now time.Time) {
	f.startFollowing(now)
	if scene != "" {
		p := f.detail()
		p.scene, p.qrScene = qrScene, scene
	} else if f.profile != nil {
		f.profile.scene, f.profile.qrScene = "", ""
	}
}

// stopFollowing takes the fan off the list of fans. Who comes back is a new fan, without
// the remark and the tags of before. The fan is locked.
func (f *fan) stopFollowing() {
	f.subscribed = false
	f.account.users.followers.remove(f.followPlace)
	if p := f.profile; p != nil {
		for _, t := range p.tags {
			t.tag.fans.remove(t.place)
		}
		p.tags, p.remark = nil, ""
	}
}

// BindOpenPlatform binds an account to an Open Platform account, or unbinds it. Of a bound
// account user/info tells unionids: NewFan.UnionID, or an invented one. It answers NotFound.
func (s *Simulator) BindOpenPlatform(appID string, bound bool) error {
	a, err := s.account(appID)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users.openPlatform = bound
	return nil
}

func (a *account) tellsUnionID() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.users.openPlatform
}

// unionID is the fan's identity across the accounts of one owner. The fan is locked.
func (s *Simulator) unionID(f *fan) string {
	if id := f.known().unionID; id != "" {
		return id
	}
	return "o" + letters(27, s.seed, hashText(f.openID), 0x0410)
}

// serveUserGet is GET /cgi-bin/user/get.
func (s *Simulator) serveUserGet(c *call) {
	a, ok := s.enter(c, "GET", true)
	if !ok {
		return
	}
	if code := c.checkQuery("next_openid"); code != codeOK {
		c.refuse(code)
		return
	}
	s.serveRoll(c, rollQuery{
		account: a, roll: &a.users.followers, after: queryValue(c.query, "next_openid"), most: maxFansPage,
		place: func(f *fan) uint64 { return f.followPlace },
	})
}

// checkQuery refuses a query that holds anything but the access token and the names.
func (c *call) checkQuery(names ...string) int {
	query, err := url.ParseQuery(c.query)
	if err != nil {
		return codeBadParameter
	}
	for name, values := range query {
		if name != "access_token" && !slices.Contains(names, name) || len(values) != 1 {
			return codeUnknownField
		}
	}
	return codeOK
}

// serveUserInfo is GET /cgi-bin/user/info.
func (s *Simulator) serveUserInfo(c *call) {
	a, ok := s.enter(c, "GET", true)
	if !ok {
		return
	}
	openID, lang := queryValue(c.query, "openid"), queryValue(c.query, "lang")
	c.openID = openID
	code := c.checkQuery("openid", "lang")
	switch {
	case code != codeOK:
	case openID == "":
		code = codeOpenIDMissing
	case !knownLang(lang):
		code = codeBadParameter
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	infos, code := s.infosOf(a, []string{openID})
	if code != codeOK {
		c.refuse(code)
		return
	}
	c.answerJSON(infos[0])
}

func knownLang(lang string) bool { return slices.Contains([]string{"", "zh_CN", "zh_TW", "en"}, lang) }

// serveUserInfoBatch is POST /cgi-bin/user/info/batchget.
func (s *Simulator) serveUserInfoBatch(c *call) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return
	}
	openIDs, code := parseUserList(c.body)
	if code != codeOK {
		c.refuse(code)
		return
	}
	infos, code := s.infosOf(a, openIDs)
	if code != codeOK {
		c.refuse(code)
		return
	}
	c.answerJSON(map[string][]fanInfo{"user_info_list": infos})
}

// parseUserList reads {"user_list":[{"openid":"","lang":"zh_CN"}]}.
func parseUserList(body []byte) ([]string, int) {
	top, code := parseObject(body)
	if code != codeOK {
		return nil, code
	}
	var list []json.RawMessage
	if raw, ok := top["user_list"]; ok && json.Unmarshal(raw, &list) != nil {
		return nil, codeBadJSON
	}
	switch {
	case len(top) > 1 || len(top) == 1 && top["user_list"] == nil:
		return nil, codeUnknownField
	case len(list) == 0 || len(list) > maxInfoBatch:
		return nil, codeListSize
	}
	openIDs := make([]string, len(list))
	for i, raw := range list {
		var lang string
		item, code := members(raw)
		if code != codeOK || readString(item, "openid", &openIDs[i]) != codeOK || readString(item, "lang", &lang) != codeOK {
			return nil, codeBadJSON
		}
		_, withLang := item["lang"]
		switch {
		case openIDs[i] == "":
			return nil, codeBadOpenID
		case withLang && len(item) != 2 || !withLang && len(item) != 1:
			return nil, codeUnknownField
		case !knownLang(lang):
			return nil, codeBadParameter
		}
	}
	return openIDs, codeOK
}

// fanInfo is what user/info tells. Nickname and portrait are empty since 2021-12-27; sex and
// place are no longer given, nor is the language unless NewFan.Language sets one.
type fanInfo struct {
	Subscribe int    `json:"subscribe"`
	OpenID    string `json:"openid"`
	UnionID   string `json:"unionid,omitempty"`
	*followerInfo
}

type followerInfo struct {
	Nickname      string `json:"nickname"`
	HeadImgURL    string `json:"headimgurl"`
	Language      string `json:"language,omitempty"`
	SubscribeTime int64  `json:"subscribe_time"`
	Remark        string `json:"remark"`
	GroupID       int    `json:"groupid"`
	TagIDs        []int  `json:"tagid_list"`
	Scene         string `json:"subscribe_scene"`
	QRScene       uint64 `json:"qr_scene"`
	QRSceneStr    string `json:"qr_scene_str"`
}

// infosOf answers 40003 for the first openid that is not of this account.
func (s *Simulator) infosOf(a *account, openIDs []string) ([]fanInfo, int) {
	union, strangers := a.tellsUnionID(), s.switches.Load().StrangerUnionID
	out := make([]fanInfo, len(openIDs))
	for i, openID := range openIDs {
		code := s.accountFan(a, openID, codeBadOpenID, func(f *fan) int {
			out[i] = f.info()
			if union && (f.subscribed || strangers) {
				out[i].UnionID = s.unionID(f)
			}
			return codeOK
		})
		if code != codeOK {
			return nil, code
		}
	}
	return out, codeOK
}

func (f *fan) info() fanInfo {
	if !f.subscribed {
		return fanInfo{OpenID: f.openID}
	}
	p, tags := f.known(), f.tagIDs()
	follower := &followerInfo{
		Language: p.language, SubscribeTime: f.followedAt, Remark: p.remark, TagIDs: tags, Scene: p.scene,
	}
	if follower.Scene == "" {
		follower.Scene = defaultScene
	}
	if len(tags) > 0 {
		follower.GroupID = tags[0]
	}
	// A scene that is a number of 32 bits came from a QR code with a number, any other from one with a text.
	if n, err := strconv.ParseUint(p.qrScene, 10, 32); err == nil && n > 0 {
		follower.QRScene = n
	} else {
		follower.QRSceneStr = p.qrScene
	}
	return fanInfo{Subscribe: 1, OpenID: f.openID, followerInfo: follower}
}

// serveUserRemark is POST /cgi-bin/user/info/updateremark. An empty remark takes it away.
func (s *Simulator) serveUserRemark(c *call) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return
	}
	top, code := parseObject(c.body)
	if code != codeOK {
		c.refuse(code)
		return
	}
	var openID, remark string
	switch {
	case readString(top, "openid", &openID) != codeOK, readString(top, "remark", &remark) != codeOK:
		c.refuse(codeBadJSON)
	case len(top) != 2 || top["openid"] == nil || top["remark"] == nil:
		c.refuse(codeUnknownField)
	case s.switches.Load().nameLength(remark) >= remarkTooLong:
		c.refuse(codeBadRemark)
	default:
		c.openID = openID
		c.refuse(s.accountFan(a, openID, codeBadOpenID, func(f *fan) int {
			if !f.subscribed {
				return codeRequireSubscribe
			}
			f.detail().remark = remark
			return codeOK
		}))
	}
}

// nameLength measures a remark or a tag's name.
func (s *Switches) nameLength(text string) int {
	if s.NamesInBytes {
		return len(text)
	}
	return utf8.RuneCountInString(text)
}
