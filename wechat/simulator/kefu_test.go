package simulator_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestSendChecksTheBody(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("鸿", 683) // 2,049 bytes
	sw := simulator.Switches{MenuItems: 2, MenuItemBytes: 6}
	for name, c := range map[string]struct {
		body string // TO stands for the fan
		want int
	}{
		"text":                    {`{"touser":"TO","msgtype":"text","text":{"content":"a & <b> 你好"}}`, 0},
		"text with control":       {`{"touser":"TO","msgtype":"text","text":{"content":"a\u0007\nb"}}`, 0},
		"text at the limit":       {`{"touser":"TO","msgtype":"text","text":{"content":"` + long[:2046] + `ab"}}`, 0},
		"image":                   {`{"touser":"TO","msgtype":"image","image":{"media_id":"m"}}`, 0},
		"voice":                   {`{"touser":"TO","msgtype":"voice","voice":{"media_id":"m"}}`, 0},
		"video":                   {`{"touser":"TO","msgtype":"video","video":{"media_id":"m","thumb_media_id":"t"}}`, 0},
		"music":                   {`{"touser":"TO","msgtype":"music","music":{"title":"t","musicurl":"http://m","hqmusicurl":"http://m","thumb_media_id":"t"}}`, 0},
		"news":                    {`{"touser":"TO","msgtype":"news","news":{"articles":[{"title":"t","url":"https://a"}]}}`, 0},
		"mpnews":                  {`{"touser":"TO","msgtype":"mpnews","mpnews":{"media_id":"m"}}`, 0},
		"mpnewsarticle":           {`{"touser":"TO","msgtype":"mpnewsarticle","mpnewsarticle":{"article_id":"m"}}`, 0},
		"msgmenu":                 {`{"touser":"TO","msgtype":"msgmenu","msgmenu":{"head_content":"h","list":[{"id":"1","content":"ok"}],"tail_content":""}}`, 0},
		"wxcard":                  {`{"touser":"TO","msgtype":"wxcard","wxcard":{"card_id":"c"}}`, 0},
		"miniprogrampage":         {`{"touser":"TO","msgtype":"miniprogrampage","miniprogrampage":{"title":"t","appid":"wx","pagepath":"p","thumb_media_id":"m"}}`, 0},
		"agent and AI mark":       {`{"touser":"TO","msgtype":"text","text":{"content":"a"},"customservice":{"kf_account":"test1@test"},"aimsgcontext":{"is_ai_msg":1},"businessid":1}`, 0},
		"mini-program link":       {`{"touser":"TO","msgtype":"text","text":{"content":"<a href=\"https://a\" data-miniprogram-appid=\"wx1234567890\" data-miniprogram-path=\"p\">x</a>"}}`, 0},
		"menu link":               {`{"touser":"TO","msgtype":"text","text":{"content":"<a href='weixin://bizmsgmenu?msgmenucontent=T&msgmenuid=1'>T</a>"}}`, 0},
		"unknown kind":            {`{"touser":"TO","msgtype":"gif","gif":{}}`, 40008},
		"no kind":                 {`{"touser":"TO","text":{"content":"a"}}`, 40008},
		"no receiver":             {`{"msgtype":"text","text":{"content":"a"}}`, 40003},
		"stranger's openid":       {`{"touser":"oXXXXXXXXXXXXXXXXXXXXXXXXXXX","msgtype":"text","text":{"content":"a"}}`, 40003},
		"escaped ampersand":       {`{"touser":"TO","msgtype":"text","text":{"content":"a \u0026 b"}}`, 47002},
		"escaped less-than":       {`{"touser":"TO","msgtype":"text","text":{"content":"a \u003c b"}}`, 47002},
		"escaped Chinese":         {`{"touser":"TO","msgtype":"text","text":{"content":"\u4f60"}}`, 47002},
		"escaped backslash, u":    {`{"touser":"TO","msgtype":"text","text":{"content":"\\u0026"}}`, 0},
		"empty text":              {`{"touser":"TO","msgtype":"text","text":{"content":""}}`, 44004},
		"no content":              {`{"touser":"TO","msgtype":"text"}`, 44004},
		"text over the limit":     {`{"touser":"TO","msgtype":"text","text":{"content":"` + long + `"}}`, 45002},
		"content of another kind": {`{"touser":"TO","msgtype":"text","text":{"content":"a"},"image":{"media_id":"m"}}`, 40097},
		"unknown member":          {`{"touser":"TO","msgtype":"text","text":{"content":"a","colour":"red"}}`, 40097},
		"wrong case":              {`{"touser":"TO","msgtype":"text","text":{"Content":"a"}}`, 44004},
		"number for a string":     {`{"touser":"TO","msgtype":"text","text":{"content":5}}`, 47001},
		"empty body":              {``, 44002},
		"not JSON":                {`{"touser":`, 47001},
		"null":                    {`null`, 47001},
		"bad UTF-8":               {"{\"touser\":\"TO\",\"msgtype\":\"text\",\"text\":{\"content\":\"\xff\"}}", 47001},
		"no media id":             {`{"touser":"TO","msgtype":"image","image":{}}`, 40007},
		"expired media id":        {`{"touser":"TO","msgtype":"image","image":{"media_id":"expired"}}`, 40007},
		"two articles":            {`{"touser":"TO","msgtype":"news","news":{"articles":[{"title":"t"},{"title":"t"}]}}`, 45008},
		"no article":              {`{"touser":"TO","msgtype":"news","news":{"articles":[]}}`, 44003},
		"bad article address":     {`{"touser":"TO","msgtype":"news","news":{"articles":[{"title":"t","url":"ftp:x"}]}}`, 40048},
		"no article id":           {`{"touser":"TO","msgtype":"mpnewsarticle","mpnewsarticle":{}}`, 53600},
		"empty menu":              {`{"touser":"TO","msgtype":"msgmenu","msgmenu":{"head_content":"h","list":[]}}`, 40035},
		"menu too long":           {`{"touser":"TO","msgtype":"msgmenu","msgmenu":{"list":[{"id":"1","content":"a"},{"id":"2","content":"a"},{"id":"3","content":"a"}]}}`, 45098},
		"menu item too long":      {`{"touser":"TO","msgtype":"msgmenu","msgmenu":{"list":[{"id":"1","content":"1234567"}]}}`, 45099},
		"menu item without id":    {`{"touser":"TO","msgtype":"msgmenu","msgmenu":{"list":[{"content":"a"},{"id":"2","content":"a"}]}}`, 40097},
		"unknown agent":           {`{"touser":"TO","msgtype":"text","text":{"content":"a"},"customservice":{"kf_account":"x@y"}}`, 65401},
		"bad AI mark":             {`{"touser":"TO","msgtype":"text","text":{"content":"a"},"aimsgcontext":{"is_ai_msg":2}}`, 40035},
		"link without href":       {`{"touser":"TO","msgtype":"text","text":{"content":"<a name=\"x\">x</a>"}}`, 40213},
		"link with bad href":      {`{"touser":"TO","msgtype":"text","text":{"content":"<a href=\"javascript:x\">x</a>"}}`, 40213},
		"link with bad appid":     {`{"touser":"TO","msgtype":"text","text":{"content":"<a href=\"https://a\" data-miniprogram-appid=\"gh_1\">x</a>"}}`, 45086},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, simulator.Options{Switches: sw})
			require.NoError(t, w.sim.RefuseMedia(appID, "expired"))
			fan := w.writer()
			a := w.post(simulator.PathSend, strings.ReplaceAll(c.body, "TO", fan))
			require.Equal(t, c.want, a.ErrCode, a.ErrMsg)
			got, err := w.sim.Arrivals(fan)
			require.NoError(t, err)
			if c.want == 0 {
				require.Len(t, got, 1)
			} else {
				require.Empty(t, got)
			}
		})
	}
}

func TestSendChecksTheFan(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sw   simulator.Switches
		prep func(w *world, fan string) error
		want int
	}{
		"unfollowed": {prep: func(w *world, fan string) error {
			_, err := w.sim.Unfollow(w.t.Context(), fan)
			return err
		}, want: 45015},
		"unfollowed, other reading": {sw: simulator.Switches{NotFan: 43004}, prep: func(w *world, fan string) error {
			_, err := w.sim.Unfollow(w.t.Context(), fan)
			return err
		}, want: 43004},
		"blocked": {prep: func(w *world, fan string) error {
			return w.sim.SetFanFlags(fan, simulator.FanFlags{Blocked: true})
		}, want: 48002},
		"blacklisted": {prep: func(w *world, fan string) error {
			return w.sim.SetFanFlags(fan, simulator.FanFlags{Blacklisted: true})
		}, want: 43019},
		"limited": {prep: func(w *world, fan string) error {
			return w.sim.SetFanFlags(fan, simulator.FanFlags{Limited: true})
		}, want: 50002},
		"unverified account": {prep: func(w *world, _ string) error {
			return w.sim.UpdateAccount(appID, func(a *simulator.Account) { a.Verified = false })
		}, want: 48001},
		"followed again without writing": {prep: func(w *world, fan string) error {
			if _, err := w.sim.Unfollow(w.t.Context(), fan); err != nil {
				return err
			}
			_, err := w.sim.Follow(w.t.Context(), fan, "")
			w.clock.Advance(time.Minute)
			return err
		}, want: 45015},
		"GET": {want: 43002},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, simulator.Options{Switches: c.sw})
			fan := w.writer()
			if c.prep == nil {
				require.Equal(t, c.want, w.call("GET", simulator.PathSend+"?access_token="+w.token, "").ErrCode)
				return
			}
			require.NoError(t, c.prep(w, fan))
			require.Equal(t, c.want, w.send(fan, "x"))
			require.Empty(t, w.sim.AcceptedTexts(fan))
		})
	}
}

func TestAnotherAccountsFanIsAnInvalidOpenID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	require.NoError(t, w.sim.AddAccount(simulator.Account{AppID: "wxother000", Secret: "x", Verified: true}))
	ids, err := w.sim.AddFans("wxother000", 1, true)
	require.NoError(t, err)
	require.NoError(t, w.sim.GrantFan(ids[0], wechat.TriggerMessage))
	require.Equal(t, 40003, w.send(ids[0], "x"))
}

func TestTypingNeedsATalk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	fan := w.writer()
	typing := func(command string) int {
		return w.post(simulator.PathTyping, `{"touser":"`+fan+`","command":"`+command+`"}`).ErrCode
	}
	require.Equal(t, 45072, typing("Shout"))
	require.Zero(t, typing("Typing"))
	require.Equal(t, 45081, typing("Typing"))
	require.Zero(t, typing("CancelTyping"))
	require.Zero(t, typing("Typing"))
	w.clock.Advance(31 * time.Second)
	require.Equal(t, 45080, typing("Typing"))
}

func TestDuplicatesAndArrivalsAreCountedInEveryMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []simulator.RecordMode{simulator.RecordFull, simulator.RecordRing, simulator.RecordCompact} {
		w := newWorld(t, simulator.Options{Record: mode, RingSize: 2})
		fan := w.writer()
		for _, text := range []string{"a", "b", "a", "c"} {
			require.Zero(t, w.send(fan, text))
		}
		dups := w.sim.Duplicates()
		require.Len(t, dups, 1)
		require.Equal(t, 2, dups[0].Times)
		require.Equal(t, fan, dups[0].OpenID)
		state, err := w.sim.Fan(fan)
		require.NoError(t, err)
		require.Equal(t, 4, state.Accepted)
		counts := w.sim.Counts().Send()
		require.Equal(t, 4, counts.OK)
		require.Equal(t, 4, counts.Accepted)
		require.Equal(t, 1, counts.MaxInFlight)
		calls := w.sim.Calls(simulator.Filter{Path: simulator.PathSend})
		switch mode {
		case simulator.RecordFull:
			require.Equal(t, "a", dups[0].Key)
			require.Equal(t, []string{"a", "b", "a", "c"}, w.sim.AcceptedTexts(fan))
			require.Len(t, calls, 4)
			require.Equal(t, "c", calls[3].Content)
			require.True(t, calls[3].Accepted && calls[3].Done && !calls[3].Lost)
		case simulator.RecordRing:
			require.Len(t, calls, 2)
		default:
			require.Empty(t, calls)
		}
		w.sim.ResetRecord()
		require.Empty(t, w.sim.Duplicates())
		require.Zero(t, w.sim.Counts().Send().Calls)
	}
}
