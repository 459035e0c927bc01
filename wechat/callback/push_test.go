package callback

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func pushTime() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func config(mode Mode) *Config {
	return &Config{AppID: "wx1", Token: "token", AESKeys: []string{aKey(), alphabetKey}, Mode: mode}
}

func seal(t testing.TB, cfg *Config, body string) Push {
	t.Helper()
	p, err := cfg.Seal(SealMeta{ToUser: "gh_a", OpenID: "oX", Now: pushTime(), Nonce: "n1"}, []byte(body))
	require.NoError(t, err)
	return p
}

func TestCheckURLEchoesOnlyForTheRightSignature(t *testing.T) {
	t.Parallel()
	cfg := &Config{Token: "AAAAA"}
	p := Push{
		Signature: "f464b24fc39322e44b38aa78f5edd27bd1441696", Timestamp: "1714036504", Nonce: "1514711492",
		EchoStr: "4375120948345356249",
	}
	echo, err := CheckURL(cfg, p)
	require.NoError(t, err)
	require.Equal(t, "4375120948345356249", echo)
	p.Nonce += "1"
	_, err = CheckURL(cfg, p)
	require.ErrorIs(t, err, ErrSignature)
	_, err = CheckURL(&Config{}, Push{Signature: Sign("", "1", "2"), Timestamp: "1", Nonce: "2"})
	require.ErrorIs(t, err, ErrSignature, "without a Token anybody could sign")
}

func TestOfficialPushesAreOpened(t *testing.T) {
	t.Parallel()
	cfg := &Config{AppID: "wxba5fad812f8e6fb9", Token: "AAAAA", AESKeys: []string{aKey()}, Mode: ModeSafe}
	body, err := cfg.Open(time.Unix(1714112445, 0), Push{
		Signature: "6c5c811b55cc85e0e1b54100749188c20beb3f5d", Timestamp: "1714112445", Nonce: "415670741",
		EncryptType: "aes", MsgSignature: "046e02f8204d34f8ba5fa3b1db94908f3df2e9b3",
		Body: []byte(`{"ToUserName":"gh_97417a04a28d","Encrypt":"` + pushSealed + `"}`),
	})
	require.NoError(t, err)
	want := []byte(pushPlain)
	require.Equal(t, want, body)

	cfg = &Config{AppID: "wx2c2769f8efd9abc2", Token: "spamtest", AESKeys: []string{alphabetKey}, Mode: ModeSafe}
	body, err = cfg.Open(time.Unix(1410349438, 0), Push{
		Timestamp: "1410349438", Nonce: "298025754", EncryptType: "aes", MsgSignature: "003fee52ecc56afb46c00b5c7721be87860ce785",
		Body: []byte("<xml><ToUserName><![CDATA[toUser]]></ToUserName><Encrypt><![CDATA[" + spamSealed + "]]></Encrypt></xml>"),
	})
	require.NoError(t, err)
	require.Contains(t, string(body), "<MsgType>")

	cfg = &Config{AppID: workAppID, Token: "QDG6eK", AESKeys: []string{workKey}, Mode: ModeSafe}
	body, err = cfg.Open(time.Unix(1409659813, 0), Push{
		Timestamp: "1409659813", Nonce: "1372623149", EncryptType: "aes", MsgSignature: "477715d11cdb4164915debcba66cb864d751f3e6",
		Body: []byte("<xml><Encrypt><![CDATA[" + workSealed + "]]></Encrypt></xml>"),
	})
	require.NoError(t, err)
	e, err := Parse(body)
	require.NoError(t, err)
	require.Equal(t, "hello", e.Text())
	require.Equal(t, int64(4561255354251345929), e.MsgID)
}

func TestEachModeOpensItsPushesInXMLAndJSON(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{ModePlain, ModeCompatible, ModeSafe} {
		for _, d := range documented() {
			e, err := Parse([]byte(d.body))
			require.NoError(t, err)
			inJSON, err := BuildJSON(e)
			require.NoError(t, err)
			for _, body := range []string{d.body, string(inJSON)} {
				cfg := config(mode)
				p := seal(t, cfg, body)
				require.Equal(t, mode != ModePlain, p.Encrypted())
				require.NoError(t, cfg.Verify(pushTime(), p))
				opened, err := cfg.Open(pushTime(), p)
				require.NoError(t, err)
				require.Equal(t, body, string(opened))
			}
		}
	}
}

func TestThePreviousKeyIsAcceptedWhileRotating(t *testing.T) {
	t.Parallel()
	before := config(ModeSafe)
	before.AESKeys = []string{alphabetKey}
	p := seal(t, before, message("text", "<MsgId>1</MsgId>"))
	after := config(ModeSafe) // current: aKey, previous: alphabetKey
	_, err := after.Open(pushTime(), p)
	require.NoError(t, err)
	after.AESKeys = after.AESKeys[:1]
	_, err = after.Open(pushTime(), p)
	require.ErrorIs(t, err, ErrCipher)
}

func TestCompatibleModeTakesPlainPushesAndTrustsTheCiphertext(t *testing.T) {
	t.Parallel()
	body := message("text", "<Content>real</Content><MsgId>1</MsgId>")
	opened, err := config(ModeCompatible).Open(pushTime(), seal(t, config(ModePlain), body))
	require.NoError(t, err)
	require.Equal(t, body, string(opened))

	p := seal(t, config(ModeCompatible), body)
	p.Body = []byte(strings.Replace(string(p.Body), "<![CDATA[real]]>", "<![CDATA[forged]]>", 1))
	require.Contains(t, string(p.Body), "forged")
	opened, err = config(ModeCompatible).Open(pushTime(), p)
	require.NoError(t, err)
	require.Contains(t, string(opened), "real")
}

func TestEachRefusalHasItsReason(t *testing.T) {
	t.Parallel()
	body := message("text", "<MsgId>1</MsgId>")
	cases := []struct {
		name   string
		mode   Mode
		change func(*Config, *Push)
		want   error
	}{
		{"plain signature", ModePlain, func(_ *Config, p *Push) { p.Signature = strings.Repeat("0", 40) }, ErrSignature},
		{"no signature", ModePlain, func(_ *Config, p *Push) { p.Signature = "" }, ErrSignature},
		{"other token", ModePlain, func(c *Config, _ *Push) { c.Token = "other" }, ErrSignature},
		{"no token", ModePlain, func(c *Config, p *Push) { c.Token = ""; p.Signature = Sign("", p.Timestamp, p.Nonce) }, ErrSignature},
		{"old", ModePlain, func(c *Config, p *Push) { resign(c, p, "1767322700") }, ErrStale},
		{"from the future", ModePlain, func(c *Config, p *Push) { resign(c, p, "1767333700") }, ErrStale},
		{"no time", ModePlain, func(c *Config, p *Push) { resign(c, p, "") }, ErrStale},
		{"overflowing time", ModePlain, func(c *Config, p *Push) { resign(c, p, "99999999999999999999") }, ErrStale},
		{"huge time", ModePlain, func(c *Config, p *Push) { resign(c, p, "9223372036854775807") }, ErrStale},
		{"large", ModePlain, func(_ *Config, p *Push) { p.Body = make([]byte, MaxBody+1) }, ErrTooLarge},
		{"doctype", ModePlain, func(_ *Config, p *Push) { p.Body = []byte("<!DOCTYPE a>" + body) }, ErrMarkup},
		{"not a push", ModePlain, func(_ *Config, p *Push) { p.Body = []byte("<xml><a>1</a></xml>") }, ErrMalformed},
		{"encrypted for a plain account", ModePlain, func(_ *Config, p *Push) { *p = seal(t, config(ModeSafe), body) }, ErrMode},
		{"msg_signature", ModeSafe, func(_ *Config, p *Push) { p.MsgSignature = p.Signature }, ErrSignature},
		{"other ciphertext", ModeSafe, func(_ *Config, p *Push) {
			p.Body = []byte(strings.Replace(string(p.Body), "CDATA[", "CDATA[A", 2))
		}, ErrSignature},
		{"old and encrypted", ModeSafe, func(c *Config, p *Push) { resign(c, p, "1767322700") }, ErrStale},
		{"clear for a safe account", ModeSafe, func(_ *Config, p *Push) { *p = seal(t, config(ModePlain), body) }, ErrMode},
		{"doctype outside", ModeSafe, func(_ *Config, p *Push) { p.Body = append([]byte("<!DOCTYPE a>"), p.Body...) }, ErrMarkup},
		{"doctype inside", ModeSafe, func(c *Config, p *Push) { *p = seal(t, c, "<!DOCTYPE a>"+body) }, ErrMarkup},
		{"entity inside", ModeSafe, func(c *Config, p *Push) { *p = seal(t, c, "<xml><MsgType>&lol;</MsgType></xml>") }, ErrMarkup},
		{"other appid", ModeSafe, func(c *Config, _ *Push) { c.AppID = "wx2" }, ErrAppID},
		{"other key", ModeSafe, func(c *Config, _ *Push) { c.AESKeys = []string{workKey} }, ErrCipher},
		{"no key", ModeSafe, func(c *Config, _ *Push) { c.AESKeys = nil }, ErrKey},
		{"bad key", ModeSafe, func(c *Config, _ *Push) { c.AESKeys = []string{"x"} }, ErrKey},
		{"truncated", ModeSafe, func(c *Config, p *Push) { *p = truncated(t, c, body) }, ErrCipher},
		{"nested in itself", ModeSafe, func(c *Config, p *Push) { *p = seal(t, c, string(seal(t, c, body).Body)) }, ErrMode},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := config(c.mode)
			p := seal(t, cfg, body)
			c.change(cfg, &p)
			opened, err := cfg.Open(pushTime(), p)
			require.ErrorIs(t, err, c.want)
			require.Nil(t, opened)
		})
	}
}

// resign gives p another timestamp with right signatures.
func resign(c *Config, p *Push, timestamp string) {
	p.Timestamp = timestamp
	p.Signature = Sign(c.Token, timestamp, p.Nonce)
	if p.Encrypted() {
		root, err := parseTree(p.Body)
		if err == nil {
			p.MsgSignature = Sign(c.Token, timestamp, p.Nonce, root.str("Encrypt"))
		}
	}
}

// truncated is a push whose ciphertext was cut before it was signed.
func truncated(t *testing.T, c *Config, body string) Push {
	t.Helper()
	p := seal(t, c, body)
	root, err := parseTree(p.Body)
	require.NoError(t, err)
	cut := root.str("Encrypt")[:32]
	p.MsgSignature = Sign(c.Token, p.Timestamp, p.Nonce, cut)
	p.Body = []byte("<xml><Encrypt>" + cut + "</Encrypt></xml>")
	return p
}

func TestAnAgeWithinTheLimitIsAcceptedOnBothSides(t *testing.T) {
	t.Parallel()
	cfg := config(ModePlain)
	p := seal(t, cfg, message("text", ""))
	for _, shift := range []time.Duration{-DefaultMaxAge, 0, DefaultMaxAge} {
		require.NoError(t, cfg.Verify(pushTime().Add(shift), p))
	}
	require.ErrorIs(t, cfg.Verify(pushTime().Add(DefaultMaxAge+time.Second), p), ErrStale)
	cfg.MaxAge = time.Second
	require.ErrorIs(t, cfg.Verify(pushTime().Add(2*time.Second), p), ErrStale)
}

func TestRefusalsAreDistinctAndReadable(t *testing.T) {
	t.Parallel()
	all := []error{ErrSignature, ErrStale, ErrMode, ErrCipher, ErrAppID, ErrMarkup, ErrTooLarge, ErrMalformed, ErrKey}
	texts := map[string]bool{}
	for _, err := range all {
		texts[err.Error()] = true
	}
	require.Len(t, texts, len(all))
}

func FuzzOpen(f *testing.F) {
	for mode := ModePlain; mode <= ModeSafe; mode++ {
		p := seal(f, config(mode), message("text", "<Content>a]]&gt;b</Content><MsgId>1</MsgId>"))
		f.Add(uint8(mode), p.EncryptType, p.Timestamp, p.Body)
	}
	f.Add(uint8(2), "aes", "x", []byte(`{"Encrypt":"`+pushSealed+`"}`))
	f.Fuzz(func(t *testing.T, mode uint8, encryptType, timestamp string, body []byte) {
		cfg := config(Mode(mode % 3))
		p := Push{Timestamp: timestamp, Nonce: "n", EncryptType: encryptType, Body: body}
		p.Signature = Sign(cfg.Token, timestamp, p.Nonce)
		if root, err := parseTree(body); err == nil {
			p.MsgSignature = Sign(cfg.Token, timestamp, p.Nonce, strings.TrimSpace(root.str("Encrypt")))
		}
		opened, err := cfg.Open(pushTime(), p)
		if err != nil {
			require.True(t, known(err), "%v", err)
			return
		}
		_, err = parseTree(opened)
		require.NoError(t, err)
	})
}

func known(err error) bool {
	for _, want := range []error{ErrSignature, ErrStale, ErrMode, ErrCipher, ErrAppID, ErrMarkup, ErrTooLarge, ErrMalformed, ErrKey} {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}

func BenchmarkOpenAndParse(b *testing.B) {
	cfg := config(ModeSafe)
	p := seal(b, cfg, message("text", fmt.Sprintf("<Content><![CDATA[%s]]></Content><MsgId>1</MsgId>", strings.Repeat("汉", 40))))
	b.ReportAllocs()
	for b.Loop() {
		body, err := cfg.Open(pushTime(), p)
		if err != nil {
			b.Fatal(err)
		}
		if _, err = Parse(body); err != nil {
			b.Fatal(err)
		}
	}
}
