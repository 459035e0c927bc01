package simulator

import "encoding/json"

// The paths of the blacklist.
const (
	PathBlacklistGet    = "/cgi-bin/tags/members/getblacklist"
	PathBlacklistAdd    = "/cgi-bin/tags/members/batchblacklist"
	PathBlacklistRemove = "/cgi-bin/tags/members/batchunblacklist"
)

const (
	maxBlacklistBatch = 20
	// The two page sizes that the documentation gives, the newer one first.
	blacklistPage    = 1_000
	blacklistPageOld = 10_000
)

// blacklistRoutes are the blacklist (platform.md 7.3).
func blacklistRoutes() []route {
	return []route{
		{PathBlacklistGet, Limit{}, (*Simulator).serveBlacklistGet},
		{PathBlacklistAdd, Limit{}, (*Simulator).serveBlacklistAdd},
		{PathBlacklistRemove, Limit{}, (*Simulator).serveBlacklistRemove},
	}
}

// blacklistState is what an account keeps for the blacklist (platform.md 7.3). The list has
// a mutex of its own, because fans are put on it under theirs.
type blacklistState struct{ fans roll }

// setBlacklisted puts the fan on the account's blacklist or takes them off. The fan is locked.
func (f *fan) setBlacklisted(on bool) {
	if on == f.blacklisted {
		return
	}
	f.blacklisted = on
	if on {
		f.detail().blackPlace = f.account.blacklist.fans.add(f)
	} else {
		f.account.blacklist.fans.remove(f.known().blackPlace)
	}
}

// serveBlacklistGet is POST /cgi-bin/tags/members/getblacklist.
func (s *Simulator) serveBlacklistGet(c *call) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return
	}
	var after string
	top, code := parseObject(c.body)
	if code == codeOK {
		code = readString(top, "begin_openid", &after)
	}
	if code == codeOK && (len(top) > 1 || len(top) == 1 && top["begin_openid"] == nil) {
		code = codeUnknownField
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	s.serveRoll(c, rollQuery{
		account: a, roll: &a.blacklist.fans, after: after, most: s.switches.Load().BlacklistPage,
		place: func(f *fan) uint64 { return f.known().blackPlace },
	})
}

func (s *Simulator) serveBlacklistAdd(c *call)    { s.serveBlacklisting(c, true) }
func (s *Simulator) serveBlacklistRemove(c *call) { s.serveBlacklisting(c, false) }

// serveBlacklisting is POST /cgi-bin/tags/members/batchblacklist and batchunblacklist: all
// fans of the list or, when one is not the account's, none.
func (s *Simulator) serveBlacklisting(c *call, on bool) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return
	}
	openIDs, code := parseBlacklisting(c.body)
	for _, openID := range openIDs {
		if code == codeOK {
			code = s.accountFan(a, openID, codeForeignOpenID, func(*fan) int { return codeOK })
		}
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	for _, openID := range openIDs {
		s.accountFan(a, openID, codeForeignOpenID, func(f *fan) int {
			f.setBlacklisted(on)
			return codeOK
		})
	}
}

// parseBlacklisting reads {"openid_list":["…"]}.
func parseBlacklisting(body []byte) ([]string, int) {
	top, code := parseObject(body)
	if code != codeOK {
		return nil, code
	}
	var raw json.RawMessage
	if raw = top["openid_list"]; raw == nil {
		return nil, codeBadParameter
	}
	if len(top) != 1 {
		return nil, codeUnknownField
	}
	return readOpenIDs(raw, maxBlacklistBatch)
}
