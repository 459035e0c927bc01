package links

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/testdb"
)

func TestATokenIsReadAsItWasWrittenAndNothingElseIs(t *testing.T) {
	t.Parallel()
	signer := tokens{key: []byte(strings.Repeat("k", keySize))}
	other := tokens{key: []byte(strings.Repeat("x", keySize))}
	for _, ids := range [][2]int64{{1, 1}, {127, 128}, {1 << 20, 1 << 40}, {math.MaxInt64, math.MaxInt64}} {
		token := signer.write(ids[0], ids[1])
		link, delivery, ok := signer.read(token)
		require.True(t, ok)
		require.Equal(t, [2]int64{link, delivery}, ids)
		require.LessOrEqual(t, len(token), longestToken())
		_, _, ok = other.read(token)
		require.False(t, ok, "another key")
		for i := range token {
			for _, c := range "ABgz09-_" {
				if changed := token[:i] + string(c) + token[i+1:]; changed != token {
					_, _, ok = signer.read(changed)
					require.False(t, ok, "%s for %s", changed, token)
				}
			}
		}
		for n := range token {
			_, _, ok = signer.read(token[:n])
			require.False(t, ok)
		}
	}
	require.Len(t, signer.write(math.MaxInt64, math.MaxInt64), longestToken())
}

func TestWhoOpensALink(t *testing.T) {
	t.Parallel()
	const iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.43(0x18002b2f) NetType/WIFI Language/zh_CN"
	for name, c := range map[string]struct {
		visit  Visit
		person bool
	}{
		"iPhone":          {Visit{UserAgent: iphone}, true},
		"Android":         {Visit{UserAgent: "Mozilla/5.0 (Linux; Android 14; CUBOT P80) AppleWebKit/537.36 Chrome/116 XWEB/1160065 MMWEBSDK/20231002 MicroMessenger/8.0.42.2460(0x28002A3B)"}, true},
		"Windows":         {Visit{UserAgent: "Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 Chrome/107 Safari/537.36 NetType/WIFI MicroMessenger/7.0.20.1781(0x6700143B) WindowsWechat"}, true},
		"no agent":        {Visit{}, false},
		"other browser":   {Visit{UserAgent: "Mozilla/5.0 (iPhone) Safari/605.1.15"}, false},
		"program":         {Visit{UserAgent: "curl/8.5.0"}, false},
		"WeChat's search": {Visit{UserAgent: "Mozilla/5.0 (Linux; U; Android) MicroMessenger/6.0 Mpcrawler"}, false},
		"poses as WeChat": {Visit{UserAgent: iphone + " Bytespider"}, false},
		"named bot":       {Visit{UserAgent: iphone + " somebot/1.0"}, false},
		"headless":        {Visit{UserAgent: "HeadlessChrome/120 MicroMessenger/8.0"}, false},
		"fraud check":     {Visit{UserAgent: "MicroMessenger/8 QQ-URL-Manager"}, false},
		"prefetch":        {Visit{UserAgent: iphone, Purposes: []string{"", "prefetch;prerender"}}, false},
		"old prefetch":    {Visit{UserAgent: iphone, Purposes: []string{"Prefetch"}}, false},
		"preview":         {Visit{UserAgent: iphone, Purposes: []string{"preview"}}, false},
		"empty purposes":  {Visit{UserAgent: iphone, Purposes: []string{"", ""}}, true},
	} {
		require.Equal(t, c.person, c.visit.Person(), name)
	}
}

// sealer shows what it has sealed: only where keys are kept is tested here.
type sealer struct{}

func (sealer) Seal(secret []byte) ([]byte, error) { return append([]byte("sealed "), secret...), nil }

func (sealer) Open(sealed []byte) ([]byte, error) {
	if len(sealed) != keySize+7 {
		return nil, errors.New("not sealed")
	}
	return sealed[7:], nil
}

// ledger has the deliveries 1 to 9 of account 1 and 11 to 19 of account 2; each is that fan's.
type ledger struct{}

func (ledger) DeliveryOf(_ context.Context, accountID, id int64) (fanID, messageID int64, err error) {
	if id/10+1 != accountID {
		return 0, 0, fault.New(fault.NotFound, "this account has no delivery %d", id)
	}
	return id, 7, nil
}

func (ledger) Day(_ *gorm.DB, _, at int64) (int, error) {
	return int(at / (24 * time.Hour).Milliseconds()), nil
}

// people notes who tapped; fan 9 was erased.
type people struct{ taps []Tap }

func (*people) Hold(_ *gorm.DB, _, fanID int64) (bool, error) { return fanID != 9, nil }

func (p *people) Tapped(_ *gorm.DB, t Tap) error {
	p.taps = append(p.taps, t)
	return nil
}

type world struct {
	t      *testing.T
	db     *database.DB
	clk    *clock.Manual
	people *people
	store  *Store
}

func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		w := &world{t: t, db: db, clk: clock.NewManual(time.Date(2026, 3, 4, 2, 0, 0, 0, time.UTC)), people: &people{}}
		w.store = w.process()
		test(t, w)
	})
}

func (w *world) process() *Store {
	return New(Options{DB: w.db, Clock: w.clk, Sealer: sealer{}, Ledger: ledger{}, Fans: w.people, PublicURL: "https://h.example.com"})
}

func (w *world) keep(account int64, urls ...string) {
	w.t.Helper()
	require.NoError(w.t, w.db.Tx(w.t.Context(), func(tx *gorm.DB) error { return w.store.Keep(tx, account, urls) }))
}

// token is that of an address in a delivery.
func (w *world) token(account, delivery int64, url string) string {
	w.t.Helper()
	found, err := w.store.Tracked(w.t.Context(), account, delivery, []string{url})
	require.NoError(w.t, err)
	return strings.TrimPrefix(found[url], "https://h.example.com"+Path)
}

func TestATokenLeadsToStoredAddressesOfItsAccountOnly(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, err := w.store.Resolve(t.Context(), "AAAAAAAAAAAAAAAAAAAA")
		require.True(t, fault.Is(err, fault.NotFound), "before anything was tracked")
		w.keep(1, "https://a.cn", "https://b.cn", "https://a.cn")
		w.keep(1, "https://b.cn")
		w.keep(2, "https://a.cn")
		ofOne, err := w.process().Resolve(t.Context(), w.token(1, 3, "https://a.cn"))
		require.NoError(t, err)
		require.Equal(t, "https://a.cn", ofOne.URL)
		require.Equal(t, []int64{1, 3, 3, 7}, []int64{ofOne.AccountID, ofOne.DeliveryID, ofOne.FanID, ofOne.MessageID})
		ofTwo, err := w.store.Resolve(t.Context(), w.token(2, 13, "https://a.cn"))
		require.NoError(t, err)
		require.NotEqual(t, ofOne.LinkID, ofTwo.LinkID)

		_, err = w.store.Resolve(t.Context(), w.store.tokens.write(ofOne.LinkID, 13))
		require.True(t, fault.Is(err, fault.NotFound), "signed by us, and yet a link and a delivery of two accounts")
		_, err = w.store.Resolve(t.Context(), w.store.tokens.write(99, 3))
		require.True(t, fault.Is(err, fault.NotFound), "no such link")
		none, err := w.store.Tracked(t.Context(), 2, 13, []string{"https://b.cn"})
		require.NoError(t, err)
		require.Empty(t, none, "an address that the account has not kept stays as it is")
		var rows int64
		require.NoError(t, w.db.Read(t.Context()).Raw("SELECT COUNT(*) FROM links").Scan(&rows).Error)
		require.EqualValues(t, 3, rows)
	})
}

func TestOpeningsAreCountedByDayAndToldOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.keep(1, "https://a.cn")
		open := func(delivery int64, person bool) {
			target, err := w.process().Resolve(t.Context(), w.token(1, delivery, "https://a.cn"))
			require.NoError(t, err)
			require.NoError(t, w.store.Count(t.Context(), target, person))
		}
		open(3, false)
		open(3, true)
		open(3, true)
		open(4, true)
		open(9, true) // erased
		first := w.clk.Now()
		day := int(first.Unix() / 86_400)
		w.clk.Advance(24 * time.Hour)
		open(3, true)
		open(5, true)
		read := func(from, to int) []Figure {
			found, err := w.store.Figures(t.Context(), Query{AccountID: 1, MessageIDs: []int64{7, 8}, From: from, To: to})
			require.NoError(t, err)
			return found
		}
		require.Equal(t, []Figure{{MessageID: 7, URL: "https://a.cn", People: 3, Taps: 5, Others: 1}}, read(0, math.MaxInt32))
		require.Equal(t, []Figure{{MessageID: 7, URL: "https://a.cn", People: 2, Taps: 3, Others: 1}}, read(0, day))
		require.Equal(t, []Figure{{MessageID: 7, URL: "https://a.cn", People: 1, Taps: 2}}, read(day+1, day+1))
		other, err := w.store.Figures(t.Context(), Query{AccountID: 2, MessageIDs: []int64{7}, To: math.MaxInt32})
		require.NoError(t, err)
		require.Empty(t, other)
		require.Len(t, w.people.taps, 3)
		require.Equal(t, Tap{AccountID: 1, FanID: 3, DeliveryID: 3, LinkID: 1, URL: "https://a.cn", At: first.UnixMilli()}, w.people.taps[0])
		require.NoError(t, w.db.Tx(t.Context(), func(tx *gorm.DB) error { return w.store.Forget(tx, 0, 1, []int64{3}) }))
		var left []int64
		require.NoError(t, w.db.Read(t.Context()).Raw("SELECT fan_id FROM link_clicks ORDER BY fan_id").Scan(&left).Error)
		require.Equal(t, []int64{4, 5}, left)
		require.EqualValues(t, 3, read(0, math.MaxInt32)[0].People, "counts stay")
	})
}

func TestWithoutAPublicAddressNothingIsTracked(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.keep(1, "https://a.cn")
		w.store.o.PublicURL = ""
		require.Zero(t, w.store.Longest())
		found, err := w.store.Tracked(t.Context(), 1, 3, []string{"https://a.cn"})
		require.NoError(t, err)
		require.Empty(t, found)
	})
}

func TestALocationIsInASCII(t *testing.T) {
	t.Parallel()
	require.Equal(t, "https://a.cn/%E5%88%B8?x=%20&y=1#z", Target{URL: "https://a.cn/券?x=%20&y=1#z"}.Location())
	require.Equal(t, "https://a.cn/%0D%0AX:1", Target{URL: "https://a.cn/\r\nX:1"}.Location())
}
