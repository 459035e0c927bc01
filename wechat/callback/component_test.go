package callback

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const componentAppID = "wxc0mp0nent"

func componentConfig() *Config {
	return &Config{AppID: componentAppID, Token: "abc", AESKeys: []string{alphabetKey}}
}

func componentXML(rest string) string {
	return "<xml><AppId>" + componentAppID + "</AppId><CreateTime>1413192605</CreateTime>" + rest + "</xml>"
}

func TestEveryDocumentedPushToAComponentIsReadAsItsType(t *testing.T) {
	t.Parallel()
	created := time.Unix(1413192605, 0).UTC()
	granted := ComponentGranted{AccountAppID: "wx1", Code: "code", ExpiresAt: created.Add(600 * time.Second), PreAuthCode: "pre"}
	updated := granted
	updated.Updated = true
	dated := granted
	dated.ExpiresAt, dated.PreAuthCode = created.Add(time.Hour), ""
	account := "<AuthorizerAppid>wx1</AuthorizerAppid>"
	code := account + "<AuthorizationCode>code</AuthorizationCode>" +
		"<AuthorizationCodeExpiredTime>600</AuthorizationCodeExpiredTime><PreAuthCode>pre</PreAuthCode>"
	cases := []struct {
		name, rest string
		payload    any
	}{
		{"component_verify_ticket", "<InfoType>component_verify_ticket</InfoType>" +
			"<ComponentVerifyTicket>ticket</ComponentVerifyTicket>", ComponentTicket{"ticket"}},
		{"authorized", "<InfoType>authorized</InfoType>" + code, granted},
		{"authorized", "<InfoType>authorized</InfoType>" + account + "<AuthorizationCode>code</AuthorizationCode>" +
			"<AuthorizationCodeExpiredTime>1413196205</AuthorizationCodeExpiredTime>", dated},
		{"updateauthorized", "<InfoType><![CDATA[updateauthorized]]></InfoType>" + code, updated},
		{"unauthorized", "<InfoType>unauthorized</InfoType>" + account, ComponentWithdrawn{"wx1"}},
	}
	for _, c := range cases {
		e, err := ParseComponent([]byte(componentXML(c.rest)))
		require.NoError(t, err)
		require.Equal(t, c.payload, e.Payload)
		require.Equal(t, c.name, e.Name)
		require.Equal(t, componentAppID, e.AppID)
		require.Equal(t, created, e.CreatedAt)

		body, err := BuildComponentXML(e)
		require.NoError(t, err)
		again, err := ParseComponent(body)
		require.NoError(t, err)
		again.Raw = e.Raw
		require.Equal(t, e, again)
	}
}

func TestAComponentsPushThatIsUnknownOrLacksAFieldIsAcknowledged(t *testing.T) {
	t.Parallel()
	for rest, reason := range map[string]string{
		"<InfoType>notify_third_fasteregister</InfoType>": "",
		"<InfoType>component_verify_ticket</InfoType>":    "no ComponentVerifyTicket",
		"<InfoType>unauthorized</InfoType>":               "no AuthorizerAppid",
		"<InfoType>authorized</InfoType>":                 "no AuthorizerAppid or no AuthorizationCode",
		"<InfoType>authorized</InfoType><AuthorizationCodeExpiredTime>soon</AuthorizationCodeExpiredTime>": "the push is malformed: " +
			`AuthorizationCodeExpiredTime holds "soon"`,
	} {
		e, err := ParseComponent([]byte(componentXML(rest)))
		require.NoError(t, err)
		require.Equal(t, Unknown{Raw: []byte(componentXML(rest)), Reason: reason}, e.Payload, rest)
		body, err := BuildComponentXML(e)
		require.NoError(t, err)
		require.Equal(t, componentXML(rest), string(body))
	}
	_, err := BuildComponentXML(ComponentEvent{Payload: Click{}})
	require.ErrorIs(t, err, errNotBuildable)
	for body, refusal := range map[string]error{
		"<xml></xml>":    ErrMalformed,
		"<!DOCTYPE x>":   ErrMarkup,
		componentXML(""): ErrMalformed,
		"<xml><CreateTime>x</CreateTime><InfoType>unauthorized</InfoType></xml>": ErrMalformed,
	} {
		_, err := ParseComponent([]byte(body))
		require.ErrorIs(t, err, refusal, body)
	}
}

func TestAComponentsPushIsOpenedWithItsKeyOnlyWhenSignedRecentAndItsOwn(t *testing.T) {
	t.Parallel()
	now := time.Unix(1413192605, 0)
	cfg := componentConfig()
	body := []byte(componentXML("<InfoType>unauthorized</InfoType><AuthorizerAppid>wx1</AuthorizerAppid>"))
	p, err := cfg.SealComponent(SealMeta{Now: now, Nonce: "n"}, body)
	require.NoError(t, err)
	require.Contains(t, string(p.Body), "<xml><AppId><![CDATA["+componentAppID+"]]></AppId><Encrypt>")
	require.NotContains(t, string(p.Body), "ToUserName")
	opened, err := cfg.OpenComponent(now, p)
	require.NoError(t, err)
	require.Equal(t, string(body), string(opened))

	refused := func(want error, change func(*Config, *Push)) {
		t.Helper()
		other, q := *cfg, p
		change(&other, &q)
		_, err := other.OpenComponent(now, q)
		require.ErrorIs(t, err, want)
	}
	refused(ErrSignature, func(_ *Config, q *Push) { q.MsgSignature = q.Signature })
	refused(ErrSignature, func(c *Config, _ *Push) { c.Token = "abd" })
	refused(ErrStale, func(_ *Config, q *Push) {
		q.Timestamp = "1413192000"
		root, err := parseTree(q.Body)
		require.NoError(t, err)
		q.MsgSignature = Sign(cfg.Token, q.Timestamp, q.Nonce, root.str("Encrypt"))
	})
	refused(ErrAppID, func(c *Config, _ *Push) { c.AppID = "wxother" })
	refused(ErrMode, func(_ *Config, q *Push) { q.EncryptType = "" })
	refused(ErrKey, func(c *Config, _ *Push) { c.AESKeys = nil })
	refused(ErrCipher, func(c *Config, _ *Push) { c.AESKeys = []string{aKey()} })
	rotated := *cfg
	rotated.AESKeys = []string{aKey(), alphabetKey}
	_, err = rotated.OpenComponent(now, p)
	require.NoError(t, err, "the former key is tried second")

	foreign, err := cfg.SealComponent(SealMeta{Now: now, Nonce: "n"},
		[]byte("<xml><AppId>wxother</AppId><InfoType>unauthorized</InfoType></xml>"))
	require.NoError(t, err)
	_, err = cfg.OpenComponent(now, foreign)
	require.ErrorIs(t, err, ErrAppID, "what is inside names another component")
	_, err = (&Config{AppID: componentAppID}).SealComponent(SealMeta{}, body)
	require.ErrorIs(t, err, ErrKey)
}

func FuzzParseComponent(f *testing.F) {
	f.Add([]byte(componentXML("<InfoType>component_verify_ticket</InfoType><ComponentVerifyTicket>t</ComponentVerifyTicket>")))
	f.Add([]byte(componentXML("<InfoType>authorized</InfoType><AuthorizerAppid>wx1</AuthorizerAppid>" +
		"<AuthorizationCode>c</AuthorizationCode><AuthorizationCodeExpiredTime>99999999999</AuthorizationCodeExpiredTime>")))
	f.Add([]byte(`{"AppId":"wx1","InfoType":"unauthorized","AuthorizerAppid":"wx2"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := ParseComponent(body)
		if err != nil {
			return
		}
		require.NotEmpty(t, e.Name)
		require.NotNil(t, e.Payload)
		_, err = BuildComponentXML(e)
		require.NoError(t, err)
	})
}
