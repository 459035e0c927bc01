package callback

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const (
	alphabetKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
	workKey     = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
	workAppID   = "wx5823bf96d3bd56c7"
)

func aKey() string { return strings.Repeat("A", encodedKeyLen) }

func crypto(t testing.TB, key string) *Crypto {
	t.Helper()
	c, err := NewCrypto(key)
	require.NoError(t, err)
	return c
}

// The vectors of the official documentation and samples (platform.md 2.2).
func TestOfficialVectorsEncryptAndDecrypt(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, key, appID, random, plain, sealed string }{
		{"A", alphabetKey, "wxb11529c136998cb6", "aaaabbbbccccdddd", "我是中文abcd123",
			"jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg=="},
		{"B", workKey, workAppID, "", "1616140317555161061",
			"P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ=="},
		{"E", aKey(), "wx134c8103faa5a59e", "999951349e8ee746", "<xml><demo_resp>[CDATA[good luck]]</demo_resp></xml>",
			"hE8R6mGXHkJJjU72KxzKUd1GEkKJaEZq7vRL8XgK3o+00k8JGq6+pZJUIlTSyhsX+bxIBQ72g3GyvDdIZcr6+3HAZbSvPT9t/o11MI7d6WELwqrGd7jMnV0zv3Zc9Nq7"},
		{"push", aKey(), "wxba5fad812f8e6fb9", "a8eedb185eb2fecf", pushPlain, pushSealed},
		{"reply", aKey(), "wxba5fad812f8e6fb9", "707722b803182950", `{"demo_resp":"good luck"}`, replySealed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			plain, err := crypto(t, c.key).Decrypt(c.appID, c.sealed)
			require.NoError(t, err)
			require.Equal(t, c.plain, string(plain))
			if c.random != "" {
				require.Equal(t, c.sealed, crypto(t, c.key).Encrypt(c.appID, [16]byte([]byte(c.random)), []byte(c.plain)))
			}
		})
	}
}

const (
	pushPlain = `{"ToUserName":"gh_97417a04a28d","FromUserName":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY","CreateTime":1714112445,` +
		`"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}`
	pushSealed = "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6JsXUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajAsjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04="
	// replySealed encrypts the official page's example of a reply.
	replySealed = "ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ=="
	spamSealed  = "mfBCs65c67CeJw22u4VT2TD73q5H06+ocrAIxswCaeZ/d/Lw0msSZFHY0teqgSYiI1zR2gD2DKrB3TIrmX/liNSDrGqS8jSI/WPeKB5VPr7Ezr7gomZAyGCwJSgT1TRFWPfONGJMxuj2nk4faTuspAuVIFQ6SHwZuJBZC7mcJp7Cgr9cUhATQWDbOPaE7ukZBTV2YqyzH+UI2AK+J1S47cE79k1RX8t0hcTz/O0hlK8DGXKnvYv88qKQcI7z4iaajqHfRVZKBNyOODabs+It+ZfM3dWTeFcPgDbGtIEnpt/EDtuuA/zMvtkaKdHdswPnVZQ+xdwbYr3ldGvfT8HlEYEgkgKaThxTFobVlwzu2ZkXCjicbP3xdr15Iq48ObgzPpqYuZ3IEoyggZDKClquk0u0orMck4GTF/XyE8yGzc4="
	workSealed  = "RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg3W/sYYvuJTs3TUUkSUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwGc2hgf5gsijff0ekUNXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUax5wLVMNS0+rUPA3k22Ncx4XXZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2YoyyH2uyPIGHBZZIs2pDBS8R07+qN+E7Q=="
)

func TestOfficialVectorsAreSigned(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, want string
		parts      []string
	}{
		{"url check", "f464b24fc39322e44b38aa78f5edd27bd1441696", []string{"AAAAA", "1714036504", "1514711492"}},
		{"plain push", "899cf89e464efb63f54ddac96b0a0a235f53aa78", []string{"AAAAA", "1714037059", "486452656"}},
		{"safe push, plain signature", "6c5c811b55cc85e0e1b54100749188c20beb3f5d", []string{"AAAAA", "1714112445", "415670741"}},
		{"safe push", "046e02f8204d34f8ba5fa3b1db94908f3df2e9b3", []string{"AAAAA", "1714112445", "415670741", pushSealed}},
		{"reply", "1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1", []string{"AAAAA", "1713424427", "415670741", replySealed}},
		{"B", "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3", []string{"QDG6eK", "1409659589", "263014780",
			"P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ=="}},
		{"B2", "477715d11cdb4164915debcba66cb864d751f3e6", []string{"QDG6eK", "1409659813", "1372623149", workSealed}},
		{"D", "003fee52ecc56afb46c00b5c7721be87860ce785", []string{"spamtest", "1410349438", "298025754", spamSealed}},
		{"E", "03e0812039325c2712ef5f0f980fd14c70d6e307", []string{"AAAAA", "1713424427", "415670741",
			"hE8R6mGXHkJJjU72KxzKUd1GEkKJaEZq7vRL8XgK3o+00k8JGq6+pZJUIlTSyhsX+bxIBQ72g3GyvDdIZcr6+3HAZbSvPT9t/o11MI7d6WELwqrGd7jMnV0zv3Zc9Nq7"}},
	}
	for _, c := range cases {
		require.Equal(t, c.want, Sign(c.parts...), c.name)
	}
}

func TestKeysOfTheWrongFormAreRefusedWithoutQuotingThem(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "secret", strings.Repeat("A", 44), strings.Repeat("!", 43), strings.Repeat("A", 42) + "="} {
		_, err := NewCrypto(key)
		require.Error(t, err)
		if key != "" {
			require.NotContains(t, err.Error(), key)
		}
	}
}

func TestWhatWasEncryptedIsDecryptedAndNothingElseIs(t *testing.T) {
	t.Parallel()
	c := crypto(t, alphabetKey)
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "plain")
		appID := rapid.StringN(0, 20, 20).Draw(t, "appid")
		random := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "random"))
		sealed := c.Encrypt(appID, random, plain)
		got, err := c.Decrypt(appID, sealed)
		require.NoError(t, err)
		require.Equal(t, string(plain), string(got))

		_, err = c.Decrypt(appID+"x", sealed)
		require.ErrorIs(t, err, ErrAppID)

		raw, err := base64.StdEncoding.DecodeString(sealed)
		require.NoError(t, err)
		cut := rapid.IntRange(0, len(raw)-1).Draw(t, "cut")
		_, err = c.Decrypt(appID, base64.StdEncoding.EncodeToString(raw[:cut]))
		require.Error(t, err, "a truncated ciphertext")
	})
}

func TestBrokenFramesAreRefusedOneByOne(t *testing.T) {
	t.Parallel()
	c := crypto(t, aKey())
	long := c.Encrypt("wx", [16]byte{}, []byte("hello"))
	raw, err := base64.StdEncoding.DecodeString(long)
	require.NoError(t, err)
	raw[len(raw)-1] ^= 1
	cases := map[string]string{
		"empty": "", "not base64": "***", "not whole blocks": base64.StdEncoding.EncodeToString(make([]byte, 17)),
		"zeros": base64.StdEncoding.EncodeToString(make([]byte, 64)), "altered": base64.StdEncoding.EncodeToString(raw),
		"no room for the frame": sealRaw(t, c, pad32([]byte("short"))),
		"length beyond the end": sealRaw(t, c, pad32(append(make([]byte, 16), 0xff, 0xff, 0xff, 0xff, 'a'))),
		"length just beyond":    sealRaw(t, c, pad32(append(make([]byte, 16), 0, 0, 0, 4, 'a', 'w', 'x'))),
		"pad of 33":             sealRaw(t, c, append(make([]byte, 31), repeated(33, 33)...)),
		"uneven pad":            sealRaw(t, c, append(make([]byte, 60), 1, 2, 3, 4)),
		"all pad":               sealRaw(t, c, repeated(32, 32)),
	}
	for name, sealed := range cases {
		_, err := c.Decrypt("wx", sealed)
		require.ErrorIs(t, err, ErrCipher, name)
	}
}

func FuzzDecrypt(f *testing.F) {
	c := crypto(f, aKey())
	f.Add(pushSealed)
	f.Add(replySealed)
	f.Add("")
	f.Add(base64.StdEncoding.EncodeToString(make([]byte, 64)))
	f.Fuzz(func(t *testing.T, sealed string) {
		if _, err := c.Decrypt("wxba5fad812f8e6fb9", sealed); err != nil {
			return
		}
		require.NotEmpty(t, sealed)
	})
}

// FuzzFrame decrypts arbitrary frames under a good key: what an owner of the key could send.
func FuzzFrame(f *testing.F) {
	c := crypto(f, aKey())
	f.Add([]byte("0123456789abcdef\x00\x00\x00\x01xwx"))
	f.Add([]byte("0123456789abcdef\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		plain, err := c.Decrypt("wx", sealRaw(t, c, pad32(frame)))
		if err == nil {
			require.LessOrEqual(t, len(plain), len(frame))
		}
	})
}
