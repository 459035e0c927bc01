package simulator

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The limits of a draft (platform.md 5.5).
const (
	maxArticles       = 8
	maxPictures       = 20
	maxTitle          = 32  // characters
	maxAuthor         = 16  // characters
	maxDigest         = 128 // characters
	autoDigest        = 54  // characters that the platform takes itself
	maxContent        = 20_000
	maxContentBytes   = 1 << 20
	maxSourceURLBytes = 1 << 10
	maxListed         = 20
)

// The codes of drafts and publishing that errors.go does not have (platform.md 5.5, 12.3).
const (
	codeDraftTitle   = 45003
	codeDraftDigest  = 45004
	codeDraftURL     = 45005
	codeDraftAuthor  = 45110
	codeDraftCrop    = 53402
	codeDraftProduct = 53405
)

// draftArticle is an article of a draft as it is kept and given back.
type draftArticle struct {
	Type         string          `json:"article_type"`
	Title        string          `json:"title"`
	Author       string          `json:"author"`
	Digest       string          `json:"digest"`
	Content      string          `json:"content"`
	SourceURL    string          `json:"content_source_url"`
	ThumbMediaID string          `json:"thumb_media_id"`
	OpenComment  int64           `json:"need_open_comment"`
	FansComment  int64           `json:"only_fans_can_comment"`
	WideCrop     string          `json:"pic_crop_235_1,omitempty"`
	SquareCrop   string          `json:"pic_crop_1_1,omitempty"`
	Pictures     json.RawMessage `json:"image_info,omitempty"`
	Cover        json.RawMessage `json:"cover_info,omitempty"`
	Products     json.RawMessage `json:"product_info,omitempty"`
	URL          string          `json:"url"`
	Deleted      *bool           `json:"is_deleted,omitempty"` // of published articles only

	pictureIDs []string
}

// newsItems is how a list of articles is answered.
type newsItems struct {
	Items []draftArticle `json:"news_item"`
}

// media lists the material that an article refers to.
func (a *draftArticle) media() []string {
	if a.ThumbMediaID == "" {
		return a.pictureIDs
	}
	return append([]string{a.ThumbMediaID}, a.pictureIDs...)
}

// readMember reads a whole number that may be missing.
func readMember(from map[string]json.RawMessage, name string, to *int64) (code int) {
	if raw, ok := from[name]; ok {
		*to, code = readWhole(raw)
	}
	return code
}

// parseArticles reads the articles of a new draft.
func parseArticles(raw json.RawMessage) ([]draftArticle, int) {
	var list []json.RawMessage
	if len(raw) == 0 {
		return nil, codeEmptyNews
	}
	if json.Unmarshal(raw, &list) != nil {
		return nil, codeBadJSON
	}
	switch {
	case len(list) == 0:
		return nil, codeEmptyNews
	case len(list) > maxArticles:
		return nil, codeTooManyArticles
	}
	out := make([]draftArticle, len(list))
	for i := range list {
		var code int
		if out[i], code = parseArticle(list[i]); code != codeOK {
			return nil, code
		}
	}
	return finishArticles(out), codeOK
}

// finishArticles gives a single article its digest; several have none.
func finishArticles(articles []draftArticle) []draftArticle {
	for i := range articles {
		a := &articles[i]
		switch {
		case len(articles) > 1:
			a.Digest = ""
		case a.Digest == "":
			a.Digest = plainStart(a.Content)
		}
	}
	return articles
}

// parseArticle reads an article, strictly, and answers the code of the first broken rule.
func parseArticle(raw json.RawMessage) (draftArticle, int) {
	var a draftArticle
	object, code := members(raw)
	if code != codeOK {
		return a, code
	}
	texts := []struct {
		name string
		to   *string
	}{
		{"article_type", &a.Type}, {"title", &a.Title}, {"author", &a.Author}, {"digest", &a.Digest},
		{"content", &a.Content}, {"content_source_url", &a.SourceURL}, {"thumb_media_id", &a.ThumbMediaID},
		{"pic_crop_235_1", &a.WideCrop}, {"pic_crop_1_1", &a.SquareCrop},
	}
	names := []string{"need_open_comment", "only_fans_can_comment", "image_info", "cover_info", "product_info"}
	for _, t := range texts {
		if code := readString(object, t.name, t.to); code != codeOK {
			return a, code
		}
		names = append(names, t.name)
	}
	for _, n := range []struct {
		name string
		to   *int64
	}{{"need_open_comment", &a.OpenComment}, {"only_fans_can_comment", &a.FansComment}} {
		if code := readMember(object, n.name, n.to); code != codeOK {
			return a, code
		}
		if *n.to != 0 && *n.to != 1 {
			return a, codeBadParameter
		}
	}
	if code := onlyMembers(object, names...); code != codeOK {
		return a, code
	}
	a.Pictures, a.Cover, a.Products = object["image_info"], object["cover_info"], object["product_info"]
	if code := a.checkSizes(); code != codeOK {
		return a, code
	}
	if code := a.checkForm(); code != codeOK {
		return a, code
	}
	a.Content = cleanContent(a.Content)
	return a, codeOK
}

// checkSizes applies the lengths of platform.md 5.5.
func (a *draftArticle) checkSizes() int {
	switch {
	case a.Title == "":
		return codeBadParameter
	case a.Content == "":
		return codeEmptyText
	case utf8.RuneCountInString(a.Title) > maxTitle:
		return codeDraftTitle
	case utf8.RuneCountInString(a.Author) > maxAuthor:
		return codeDraftAuthor
	case utf8.RuneCountInString(a.Digest) > maxDigest:
		return codeDraftDigest
	case utf8.RuneCountInString(a.Content) >= maxContent, len(a.Content) >= maxContentBytes:
		return codeTooLong
	case len(a.SourceURL) > maxSourceURLBytes:
		return codeDraftURL
	case a.SourceURL != "" && !isWeb(a.SourceURL):
		return codeBadURL
	}
	return codeOK
}

// checkForm wants what the form of the article needs.
func (a *draftArticle) checkForm() int {
	for _, box := range []string{a.WideCrop, a.SquareCrop} {
		if box != "" && !cropOK(strings.Split(box, "_")) {
			return codeDraftCrop
		}
	}
	if code := a.checkCover(); code != codeOK {
		return code
	}
	switch a.Type {
	case "", "news":
		a.Type = "news"
		if a.ThumbMediaID == "" {
			return codeBadMediaID
		}
	case "newspic":
		return a.checkPictures()
	default:
		return codeBadMessageType
	}
	return codeOK
}

// cropOK wants the four places of a crop, each from 0 to 1, the corners in their order.
func cropOK(places []string) bool {
	var at [4]float64
	if len(places) != len(at) {
		return false
	}
	for i, text := range places {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || !(v >= 0 && v <= 1) {
			return false
		}
		at[i] = v
	}
	return at[0] < at[2] && at[1] < at[3]
}

func (a *draftArticle) checkPictures() int {
	if a.Pictures == nil {
		return codeMassImageCount
	}
	info, code := members(a.Pictures)
	if code != codeOK {
		return code
	}
	var list []json.RawMessage
	if code := onlyMembers(info, "image_list"); code != codeOK {
		return code
	}
	if len(info) == 1 && json.Unmarshal(info["image_list"], &list) != nil {
		return codeBadJSON
	}
	if len(list) == 0 || len(list) > maxPictures {
		return codeMassImageCount
	}
	for _, raw := range list {
		var id string
		picture, code := members(raw)
		if code == codeOK {
			code = readString(picture, "image_media_id", &id)
		}
		if code == codeOK {
			code = onlyMembers(picture, "image_media_id")
		}
		switch {
		case code != codeOK:
			return code
		case id == "":
			return codeBadMediaID
		}
		a.pictureIDs = append(a.pictureIDs, id)
	}
	return a.checkProducts()
}

func (a *draftArticle) checkCover() int {
	if a.Cover == nil {
		return codeOK
	}
	cover, code := members(a.Cover)
	if code != codeOK {
		return code
	}
	var list []json.RawMessage
	if code := onlyMembers(cover, "crop_percent_list"); code != codeOK {
		return code
	}
	if len(cover) == 1 && json.Unmarshal(cover["crop_percent_list"], &list) != nil {
		return codeBadJSON
	}
	for _, raw := range list {
		crop, code := members(raw)
		if code != codeOK {
			return code
		}
		var ratio string
		places := make([]string, 4)
		if code := readString(crop, "ratio", &ratio); code != codeOK {
			return code
		}
		for i, name := range []string{"x1", "y1", "x2", "y2"} {
			if code := readString(crop, name, &places[i]); code != codeOK {
				return code
			}
		}
		if code := onlyMembers(crop, "ratio", "x1", "y1", "x2", "y2"); code != codeOK {
			return code
		}
		if ratio != "1_1" && ratio != "16_9" && ratio != "2.35_1" || !cropOK(places) {
			return codeDraftCrop
		}
	}
	return codeOK
}

// checkProducts wants the key of the product card.
func (a *draftArticle) checkProducts() int {
	if a.Products == nil {
		return codeOK
	}
	var key string
	info, code := members(a.Products)
	if code != codeOK {
		return code
	}
	footer, code := members(info["footer_product_info"])
	if code != codeOK {
		return codeDraftProduct
	}
	if code := readString(footer, "product_key", &key); code != codeOK {
		return code
	}
	if len(info) != 1 || len(footer) != 1 {
		return codeUnknownField
	}
	if key == "" {
		return codeDraftProduct
	}
	return codeOK
}

var (
	scripts  = regexp.MustCompile(`(?is)<script\b.*?</script\s*>`)
	handlers = regexp.MustCompile(`(?i)\son[a-z]+\s*=\s*("[^"]*"|'[^']*')`)
	pictures = regexp.MustCompile(`(?is)<img\b[^>]*>`)
	tags     = regexp.MustCompile(`(?s)<[^>]*>`)
)

// cleanContent does what the platform does to an article: scripts go, and so do pictures
// that were not uploaded to it (platform.md 5.5).
func cleanContent(html string) string {
	html = handlers.ReplaceAllString(scripts.ReplaceAllString(html, ""), "")
	return pictures.ReplaceAllStringFunc(html, func(tag string) string {
		src, _ := attribute(tag, "src")
		_, rest, _ := strings.Cut(src, "://")
		if !strings.HasPrefix(rest, "mmbiz.") {
			return ""
		}
		return tag
	})
}

// plainStart is the digest that the platform makes itself.
func plainStart(html string) string {
	text := []rune(strings.TrimSpace(tags.ReplaceAllString(html, "")))
	return string(text[:min(len(text), autoDigest)])
}
