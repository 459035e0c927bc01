package simulator

import (
	"cmp"
	"fmt"
	"time"
)

const (
	maxLongData    = 4 << 10 // bytes
	shortKeyLength = 15
	base62         = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// shortKey is what a key stands for.
type shortKey struct {
	data string
	made time.Time
	ends time.Time
}

// serveShortKeyGen is POST /cgi-bin/shorten/gen (platform.md 6.2).
func (s *Simulator) serveShortKeyGen(c *call) {
	a, ok := s.enterService(c, "POST")
	if !ok {
		return
	}
	var data string
	expiry := int64(maxExpiry)
	top, code := parseObject(c.body)
	if code == codeOK {
		code = cmp.Or(readString(top, "long_data", &data), readMember(top, "expire_seconds", &expiry),
			onlyMembers(top, "long_data", "expire_seconds"))
	}
	switch {
	case code != codeOK:
	case data == "":
		code = codeBadArgument
	case len(data) > maxLongData:
		code = codeShortKeyData
	case expiry < 1 || expiry > maxExpiry:
		code = codeShortKeyExpiry
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	q := &a.qrcode
	q.seq++
	key := base62Text(shortKeyLength, mix(s.seed, hashText(c.appID), q.seq, 23))
	if q.keys == nil {
		q.keys = map[string]shortKey{}
	}
	q.keys[key] = shortKey{data: data, made: c.at, ends: c.at.Add(time.Duration(expiry) * time.Second)}
	c.answer = fmt.Appendf(nil, `{"errcode":0,"errmsg":"ok","short_key":%q}`, key)
}

// base62Text returns n letters and digits that follow from a number.
func base62Text(n int, seed uint64) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = base62[mix(seed, uint64(i))%uint64(len(base62))]
	}
	return string(out)
}

// serveShortKeyFetch is POST /cgi-bin/shorten/fetch. Unknown, foreign and expired keys are
// not told apart.
func (s *Simulator) serveShortKeyFetch(c *call) {
	a, ok := s.enterService(c, "POST")
	if !ok {
		return
	}
	var key string
	top, code := parseObject(c.body)
	if code == codeOK {
		code = cmp.Or(readString(top, "short_key", &key), onlyMembers(top, "short_key"))
	}
	if code == codeOK && key == "" {
		code = codeBadArgument
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	one, ok := a.qrcode.keys[key]
	if !ok || !c.at.Before(one.ends) {
		c.refuse(codeShortKeyUnknown)
		return
	}
	c.answerJSON(struct {
		Code    int    `json:"errcode"`
		Msg     string `json:"errmsg"`
		Data    string `json:"long_data"`
		Created int64  `json:"create_time"`
		Expiry  int64  `json:"expire_seconds"` // what is left
	}{0, "ok", one.data, one.made.Unix(), int64(one.ends.Sub(c.at) / time.Second)})
}
