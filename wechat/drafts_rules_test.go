package wechat_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestADraftThatBreaksARuleIsRefusedOnBothSides(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	pictures := func(n int) *wechat.DraftPictures {
		p := &wechat.DraftPictures{}
		for range n {
			p.List = append(p.List, wechat.DraftPicture{MediaID: "IMAGE"})
		}
		return p
	}
	crop := func(ratio, x1 string) *wechat.DraftCover {
		return &wechat.DraftCover{Crops: []wechat.DraftCrop{{Ratio: ratio, X1: x1, Y1: "0", X2: "1", Y2: "1"}}}
	}
	for name, c := range map[string]struct {
		change      func(*wechat.DraftArticle)
		field, rule string // "" is good
		code        int
	}{
		"a title is needed":        {func(a *wechat.DraftArticle) { a.Title = "" }, "title", "required", 40035},
		"a title of 32":            {func(a *wechat.DraftArticle) { a.Title = strings.Repeat("题", 32) }, "", "", 0},
		"a title of 33":            {func(a *wechat.DraftArticle) { a.Title = strings.Repeat("题", 33) }, "title", "characters", 45003},
		"an author of 16":          {func(a *wechat.DraftArticle) { a.Author = strings.Repeat("作", 16) }, "", "", 0},
		"an author of 17":          {func(a *wechat.DraftArticle) { a.Author = strings.Repeat("作", 17) }, "author", "characters", 45110},
		"a digest of 128":          {func(a *wechat.DraftArticle) { a.Digest = strings.Repeat("摘", 128) }, "", "", 0},
		"a digest of 129":          {func(a *wechat.DraftArticle) { a.Digest = strings.Repeat("摘", 129) }, "digest", "characters", 45004},
		"a content is needed":      {func(a *wechat.DraftArticle) { a.Content = "" }, "content", "required", 44004},
		"a content of 19,999":      {func(a *wechat.DraftArticle) { a.Content = strings.Repeat("文", 19_999) }, "", "", 0},
		"a content of 20,000":      {func(a *wechat.DraftArticle) { a.Content = strings.Repeat("文", 20_000) }, "content", "characters", 45002},
		"a source of 1,000 bytes":  {func(a *wechat.DraftArticle) { a.SourceURL = "https://" + strings.Repeat("a", 992) }, "", "", 0},
		"a source of 1,025 bytes":  {func(a *wechat.DraftArticle) { a.SourceURL = "https://" + strings.Repeat("a", 1017) }, "content_source_url", "bytes", 45005},
		"a cover is needed":        {func(a *wechat.DraftArticle) { a.CoverMediaID = "" }, "thumb_media_id", "required", 40007},
		"a form must be known":     {func(a *wechat.DraftArticle) { a.Type = "video" }, "article_type", "unknown", 40008},
		"a wide crop has 4 parts":  {func(a *wechat.DraftArticle) { a.WideCrop = "0_0_1" }, "pic_crop_235_1", "crop", 53402},
		"a square crop is up to 1": {func(a *wechat.DraftArticle) { a.SquareCrop = "0_0_1_2" }, "pic_crop_1_1", "crop", 53402},
		"pictures are needed":      {func(a *wechat.DraftArticle) { a.Type = "newspic" }, "image_info.image_list", "count", 40215},
		"20 pictures":              {func(a *wechat.DraftArticle) { a.Type, a.Pictures = "newspic", pictures(20) }, "", "", 0},
		"21 pictures":              {func(a *wechat.DraftArticle) { a.Type, a.Pictures = "newspic", pictures(21) }, "image_info.image_list", "count", 40215},
		"a picture has an id": {func(a *wechat.DraftArticle) {
			a.Type, a.Pictures = "newspic", &wechat.DraftPictures{List: []wechat.DraftPicture{{}}}
		}, "image_info.image_list[0].image_media_id", "required", 40007},
		"a ratio must be known":  {func(a *wechat.DraftArticle) { a.Cover = crop("4_3", "0") }, "cover_info.crop_percent_list[0].ratio", "unknown", 53402},
		"a corner is a number":   {func(a *wechat.DraftArticle) { a.Cover = crop("1_1", "x") }, "cover_info.crop_percent_list[0]", "crop", 53402},
		"a ratio of 16 to 9":     {func(a *wechat.DraftArticle) { a.Cover = crop("16_9", "0.5") }, "", "", 0},
		"a source is an address": {func(a *wechat.DraftArticle) { a.SourceURL = "https://example.com" }, "", "", 0},
	} {
		article := newsArticle("标题")
		c.change(&article)
		_, err := w.client.AddDraft(t.Context(), w.acc, []wechat.DraftArticle{article})
		if c.field == "" {
			require.NoError(t, err, name)
		} else {
			invalid(t, err, "articles[0]."+c.field, c.rule)
		}
		var body strings.Builder
		enc := json.NewEncoder(&body)
		enc.SetEscapeHTML(false)
		require.NoError(t, enc.Encode(map[string]any{"articles": []wechat.DraftArticle{article}}))
		require.Equal(t, c.code, w.code(simulator.PathDraftAdd, body.String()), name)
	}
}

func TestAContentHasLessThanAMegabyte(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	article := newsArticle("标题")
	article.Content = strings.Repeat("a", 1_000_000)
	_, err := w.client.AddDraft(t.Context(), w.acc, []wechat.DraftArticle{article})
	fields := fault.Fields(err)
	require.Len(t, fields, 2)
	require.Equal(t, "bytes", fields[1].Rule)
}

func TestADraftHasOneToEightArticles(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	w.draft("1", "2", "3", "4", "5", "6", "7", "8")
	for _, n := range []int{0, 9} {
		articles := make([]wechat.DraftArticle, n)
		for i := range articles {
			articles[i] = newsArticle("x")
		}
		_, err := w.client.AddDraft(t.Context(), w.acc, articles)
		invalid(t, err, "articles", "count")
	}
	one := `{"title":"x","content":"x","thumb_media_id":"x"}`
	require.Equal(t, 45008, w.code(simulator.PathDraftAdd, `{"articles":[`+strings.Repeat(one+",", 8)+one+`]}`))
	require.Equal(t, 44003, w.code(simulator.PathDraftAdd, `{"articles":[]}`))
	require.Equal(t, 44003, w.code(simulator.PathDraftAdd, `{}`))
}

func TestDraftBodiesAreReadStrictly(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	good := `"title":"x","content":"x","thumb_media_id":"x"`
	for body, want := range map[string]int{
		`{"articles":[{` + good + `}]}`:                                        0,
		`{"articles":[{` + good + `,"show_cover_pic":1}]}`:                     40097,
		`{"articles":[{` + good + `}],"x":1}`:                                  40097,
		`{"articles":[{` + good + `,"author":1}]}`:                             47001,
		`{"articles":[{` + good + `,"need_open_comment":true}]}`:               47001,
		`{"articles":[{` + good + `,"need_open_comment":2}]}`:                  40035,
		`{"articles":[{` + good + `,"content_source_url":"example.com"}]}`:     40048,
		`{"articles":[{` + good + `,"cover_info":{"crop":[]}}]}`:               40097,
		`{"articles":[{` + good + `,"cover_info":[]}]}`:                        47001,
		`{"articles":[{` + good + `,"article_type":"newspic"}]}`:               40215,
		`{"articles":[{` + good + `,"pic_crop_1_1":"0.5_0_0.5_1"}]}`:           53402,
		`{"articles":{` + good + `}}`:                                          47001,
		`{"articles":[{"title":"\u4f60","content":"x","thumb_media_id":"x"}]}`: 47002,
		``: 44002,
	} {
		require.Equal(t, want, w.code(simulator.PathDraftAdd, body), body)
	}
	pictures := `,"article_type":"newspic","image_info":{"image_list":[{"image_media_id":"x"}]}`
	for product, want := range map[string]int{
		`{"footer_product_info":{"product_key":"k"}}`: 0,
		`{"footer_product_info":{"product_key":""}}`:  53405,
		`{"footer_product_info":{}}`:                  40097,
		`{}`:                                          53405,
	} {
		require.Equal(t, want, w.code(simulator.PathDraftAdd, `{"articles":[{`+good+pictures+`,"product_info":`+product+`}]}`), product)
	}
	var answer struct{ Code int }
	require.NoError(t, json.Unmarshal([]byte(strings.ReplaceAll(w.raw(http.MethodGet, simulator.PathDraftAdd, ""), "errcode", "Code")), &answer))
	require.Equal(t, 43002, answer.Code)
}

func TestACoverMustBeAPermanentPicture(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, func(_ *simulator.Account, o *simulator.Options) { o.Switches.StrictMedia = true })
	_, err := w.client.AddDraft(t.Context(), w.acc, []wechat.DraftArticle{newsArticle("x")})
	requireCode(t, 40007, err)

	w = newArticleWorld(t, nil)
	id := w.draft("x")
	require.NoError(t, w.sim.RefuseMedia(articleAppID, "COVER"))
	_, err = w.client.AddDraft(t.Context(), w.acc, []wechat.DraftArticle{newsArticle("x")})
	requireCode(t, 40007, err)
	requireCode(t, 40007, w.client.UpdateDraft(t.Context(), w.acc, id, 0, newsArticle("x")))
}
