package wechat_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestMaterialStaysUntilItIsDeleted(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{StrictMedia: true})
	for _, kind := range []wechat.MediaType{wechat.MediaImage, wechat.MediaVoice, wechat.MediaThumb} {
		body := map[wechat.MediaType][]byte{
			wechat.MediaImage: []byte(pngHead), wechat.MediaVoice: amr(1), wechat.MediaThumb: []byte(jpgHead),
		}[kind]
		added, err := w.client.AddMaterial(t.Context(), w.acc, kind, wechat.File{Body: body})
		require.NoError(t, err)
		require.Equal(t, kind == wechat.MediaImage, added.URL != "", "only pictures have an address")
		w.clock.Advance(100 * 24 * time.Hour)
		got, err := w.client.GetMaterial(t.Context(), w.acc, added.MediaID)
		require.NoError(t, err)
		require.Equal(t, body, got.File.Body)
		require.NoError(t, w.client.DeleteMaterial(t.Context(), w.acc, added.MediaID))
		_, err = w.client.GetMaterial(t.Context(), w.acc, added.MediaID)
		requireCode(t, 40007, err)
		requireCode(t, 40007, w.client.DeleteMaterial(t.Context(), w.acc, added.MediaID))
	}
	require.Equal(t, `{"media_id":"`, w.calls(simulator.PathMaterialGet)[0].Body[:13])
}

func TestAPermanentVideoHasATitleAndAnIntroduction(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{})
	film := wechat.File{Body: []byte(mp4Head)}
	added, err := w.client.AddVideoMaterial(t.Context(), w.acc, film, wechat.VideoInfo{Title: "猫 & <狗>", Introduction: "两只"})
	require.NoError(t, err)
	require.Contains(t, w.calls(simulator.PathMaterialAdd)[0].Body, `{"title":"猫 & <狗>","introduction":"两只"}`)
	got, err := w.client.GetMaterial(t.Context(), w.acc, added.MediaID)
	require.NoError(t, err)
	require.Equal(t, wechat.Material{Video: &wechat.MaterialVideo{
		Title: "猫 & <狗>", Description: "两只", DownURL: "http://vweixinp.example.com/" + added.MediaID + ".mp4",
	}}, got)
	_, err = w.client.AddVideoMaterial(t.Context(), w.acc, film, wechat.VideoInfo{})
	requireBadField(t, "title", "required", err)
	_, err = w.client.AddMaterial(t.Context(), w.acc, wechat.MediaVideo, film)
	requireBadField(t, "type", "needs_title", err)
	_, err = w.client.AddMaterial(t.Context(), w.acc, wechat.MaterialNews, film)
	requireBadField(t, "type", "unknown_type", err)
	require.Len(t, w.calls(simulator.PathMaterialAdd), 1)

	file := formPart{"media", "a.mp4", film.Body}
	for description, want := range map[string]int{
		`{"title":"t","introduction":""}`: 0, `{"title":"","introduction":"i"}`: 40035, `{"title":"t"}`: 40035, `{}`: 40035,
		`[]`: 47001, ``: 44002, `{"title":1,"introduction":""}`: 47001, `{"title":"t","introduction":"","x":1}`: 40097,
		`{"title":"\u732b","introduction":""}`: 47002,
	} {
		code := w.upload(simulator.PathMaterialAdd, "video", file, formPart{"description", "", []byte(description)})
		require.Equal(t, want, code, description)
	}
	require.Equal(t, 40035, w.upload(simulator.PathMaterialAdd, "video", file))
	about := formPart{"description", "", []byte(`{"title":"t","introduction":""}`)}
	require.Equal(t, 40097, w.upload(simulator.PathMaterialAdd, "video", file, about, about))
	picture := formPart{"media", "a.png", []byte(pngHead)}
	require.Equal(t, 40097, w.upload(simulator.PathMaterialAdd, "image", picture, formPart{"description", "", []byte("{}")}))
	require.Equal(t, 40004, w.upload(simulator.PathMaterialAdd, "news", picture))
	require.Equal(t, 40137, w.upload(simulator.PathMaterialAdd, "thumb", formPart{"media", "a.jpg", []byte(pngHead)}))
}

func TestAnAccountHasRoomForSoMuchMaterial(t *testing.T) {
	t.Parallel()
	files := map[wechat.MediaType][]byte{
		wechat.MediaImage: []byte(pngHead), wechat.MediaVoice: amr(1), wechat.MediaThumb: []byte(jpgHead), wechat.MediaVideo: []byte(mp4Head),
	}
	w := newStoreWorld(t, simulator.Switches{})
	for kind, body := range files {
		room := 1_000
		if kind == wechat.MediaImage {
			room = 100_000
		}
		ids, err := w.sim.AddWebsiteMaterial(w.acc.AppID, kind, room-1)
		require.NoError(t, err)
		add := func() error {
			if kind == wechat.MediaVideo {
				_, err := w.client.AddVideoMaterial(t.Context(), w.acc, wechat.File{Body: body}, wechat.VideoInfo{Title: "t"})
				return err
			}
			_, err := w.client.AddMaterial(t.Context(), w.acc, kind, wechat.File{Body: body})
			return err
		}
		require.NoError(t, add(), kind)
		requireCode(t, 45074, add())
		require.NoError(t, w.client.DeleteMaterial(t.Context(), w.acc, ids[0]))
		require.NoError(t, add(), kind)
		_, err = w.sim.AddWebsiteMaterial(w.acc.AppID, kind, 1)
		require.True(t, fault.Is(err, fault.Conflict))
	}
	counts, err := w.client.MaterialCounts(t.Context(), w.acc)
	require.NoError(t, err)
	require.Equal(t, wechat.MaterialCounts{Voices: 1_000, Videos: 1_000, Images: 100_000}, counts)
	_, err = w.sim.AddWebsiteMaterial(w.acc.AppID, "file", 1)
	require.True(t, fault.Is(err, fault.Invalid))
}

func TestMaterialIsListedInPagesOfTwentyTheNewestFirst(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{})
	ids, err := w.sim.AddWebsiteMaterial(w.acc.AppID, wechat.MediaImage, 45)
	require.NoError(t, err)
	_, err = w.sim.AddWebsiteMaterial(w.acc.AppID, wechat.MediaVideo, 3)
	require.NoError(t, err)
	var seen []string
	var sizes []int
	for offset, more := 0, true; more; {
		page, err := w.client.Materials(t.Context(), w.acc, wechat.MediaImage, offset)
		require.NoError(t, err)
		require.Equal(t, 45, page.Total)
		for _, item := range page.Items {
			require.Equal(t, wechat.MaterialItem{MediaID: item.MediaID, Name: "website", URL: item.URL, UpdatedAt: w.clock.Now()}, item)
			require.NotEmpty(t, item.URL)
			seen = append([]string{item.MediaID}, seen...)
		}
		sizes = append(sizes, len(page.Items))
		offset, more = page.Next, page.Next != 0
	}
	require.Equal(t, []int{20, 20, 5}, sizes)
	require.Equal(t, ids, seen)
	require.Equal(t, []string{
		`{"type":"image","offset":0,"count":20}`, `{"type":"image","offset":20,"count":20}`, `{"type":"image","offset":40,"count":20}`,
	}, w.bodies(simulator.PathMaterialList))
	page, err := w.client.Materials(t.Context(), w.acc, wechat.MediaImage, 45)
	require.NoError(t, err)
	require.Equal(t, wechat.MaterialPage{Total: 45, Items: []wechat.MaterialItem{}}, page)
	_, err = w.client.Materials(t.Context(), w.acc, wechat.MediaThumb, 0)
	requireBadField(t, "type", "unknown_type", err)
	_, err = w.client.Materials(t.Context(), w.acc, wechat.MediaImage, -1)
	requireBadField(t, "offset", "range", err)
}

func TestOldArticleListsAreRead(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{})
	ids, err := w.sim.AddWebsiteMaterial(w.acc.AppID, wechat.MaterialNews, 1)
	require.NoError(t, err)
	got, err := w.client.GetMaterial(t.Context(), w.acc, ids[0])
	require.NoError(t, err)
	require.Len(t, got.Articles, 1)
	require.Equal(t, "website", got.Articles[0].Title)
	page, err := w.client.Materials(t.Context(), w.acc, wechat.MaterialNews, 0)
	require.NoError(t, err)
	require.Equal(t, got.Articles, page.Items[0].Articles)
	require.Empty(t, page.Items[0].Name)
	counts, err := w.client.MaterialCounts(t.Context(), w.acc)
	require.NoError(t, err)
	require.Equal(t, wechat.MaterialCounts{News: 1}, counts)
}

func TestCallsAboutMaterialAreReadStrictly(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{})
	for path, bodies := range map[string]map[string]int{
		simulator.PathMaterialList: {
			`{"type":"image","offset":0,"count":1}`: 0, `{"type":"image","offset":0,"count":20}`: 0,
			`{"type":"image","offset":0,"count":21}`: 40035, `{"type":"image","offset":0,"count":0}`: 40035,
			`{"type":"image","offset":-1,"count":1}`: 40035, `{"type":"image","offset":0}`: 40035,
			`{"type":"thumb","offset":0,"count":1}`: 40004, `{"type":"image","offset":"0","count":1}`: 47001,
			`{"type":"image","offset":0,"count":1,"x":1}`: 40097, ``: 44002, `{"type":1,"offset":0,"count":1}`: 47001,
		},
		simulator.PathMaterialGet:    {`{"media_id":""}`: 40007, `{}`: 40007, `{"media_id":1}`: 47001, `{"media_id":"x"}`: 40007, `{"media_id":"x","y":1}`: 40097},
		simulator.PathMaterialDelete: {`{"media_id":""}`: 40007, `{}`: 40007, `{"media_id":"x"}`: 40007, `{"media_id":"x","y":1}`: 40097, `[`: 47001},
	} {
		for body, want := range bodies {
			require.Equal(t, want, w.code(wire{method: http.MethodPost, path: path, body: body}), "%s %s", path, body)
		}
	}
	require.Equal(t, 43001, w.code(wire{method: http.MethodPost, path: simulator.PathMaterialCount}))
	_, err := w.client.GetMaterial(t.Context(), w.acc, "")
	requireBadField(t, "media_id", "required", err)
	requireBadField(t, "media_id", "required", w.client.DeleteMaterial(t.Context(), w.acc, ""))
	up, err := w.client.UploadMedia(t.Context(), w.acc, wechat.MediaImage, wechat.File{Body: []byte(pngHead)})
	require.NoError(t, err)
	_, err = w.client.GetMaterial(t.Context(), w.acc, up.MediaID)
	requireCode(t, 40007, err)
	requireCode(t, 40007, w.client.DeleteMaterial(t.Context(), w.acc, up.MediaID))
	ids, err := w.sim.AddWebsiteMaterial(w.acc.AppID, wechat.MediaImage, 1)
	require.NoError(t, err)
	_, err = w.client.GetMedia(t.Context(), w.acc, ids[0])
	requireCode(t, 40007, err)
}

func TestOnlyVerifiedAccountsMayStoreFilesAndHaveConditionalMenus(t *testing.T) {
	t.Parallel()
	files := []string{
		"POST " + simulator.PathMediaUpload, "GET " + simulator.PathMediaGet, "GET " + simulator.PathMediaSpeex,
		"POST " + simulator.PathArticleUpload, "POST " + simulator.PathMaterialAdd, "POST " + simulator.PathMaterialGet,
		"POST " + simulator.PathMaterialDelete, "GET " + simulator.PathMaterialCount, "POST " + simulator.PathMaterialList,
		"POST " + simulator.PathMenuAddRule, "POST " + simulator.PathMenuDeleteRule, "POST " + simulator.PathMenuTryMatch,
	}
	menus := []string{"POST " + simulator.PathMenuCreate, "GET " + simulator.PathMenuGet, "GET " + simulator.PathMenuDelete}
	for _, c := range []struct {
		cfg          simulator.Account
		files, menus bool
	}{
		{simulator.Account{Type: simulator.Service, Verified: true}, true, true},
		{simulator.Account{Type: simulator.Service}, false, true},
		{simulator.Account{Type: simulator.Subscription, Verified: true}, true, true},
		{simulator.Account{Type: simulator.Subscription}, false, false},
	} {
		w := newStoreWorldOf(t, simulator.Switches{}, c.cfg)
		may := func(call string) bool {
			method, path, _ := strings.Cut(call, " ")
			return w.code(wire{method: method, path: path}) != 48001
		}
		for _, call := range files {
			require.Equal(t, c.files, may(call), "%v %s", c.cfg, call)
		}
		for _, call := range menus {
			require.Equal(t, c.menus, may(call), "%v %s", c.cfg, call)
		}
		require.True(t, may("GET "+simulator.PathMenuCurrent), "every account may see its own menu")
	}
}

func TestFilesAndMenusHaveTheirDailyQuotas(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{})
	for path, want := range map[string]int{
		simulator.PathMediaUpload: 100_000, simulator.PathMediaGet: 200_000,
		simulator.PathMenuCreate: 1_000, simulator.PathMenuGet: 10_000, simulator.PathMenuDelete: 1_000,
		simulator.PathMenuAddRule: 2_000, simulator.PathMenuDeleteRule: 2_000, simulator.PathMenuTryMatch: 20_000,
	} {
		var out struct {
			Quota struct {
				Daily int `json:"daily_limit"`
			} `json:"quota"`
		}
		raw := w.answer(wire{method: http.MethodPost, path: simulator.PathQuotaGet, body: fmt.Sprintf(`{"cgi_path":%q}`, path)})
		require.NoError(t, json.Unmarshal(raw, &out))
		require.Equal(t, want, out.Quota.Daily, path)
		require.NoError(t, w.sim.SetLimit(w.acc.AppID, path, simulator.Limit{Daily: 1}))
	}
	file := wechat.File{Body: []byte(pngHead)}
	_, err := w.client.UploadMedia(t.Context(), w.acc, wechat.MediaImage, file)
	require.NoError(t, err)
	_, err = w.client.UploadMedia(t.Context(), w.acc, wechat.MediaImage, file)
	requireCode(t, 45009, err)
	require.NoError(t, w.client.DeleteMenus(t.Context(), w.acc))
	requireCode(t, 45009, w.client.DeleteMenus(t.Context(), w.acc))
}
