package simulator

import (
	"encoding/json"
	"slices"

	"hongyan/wechat"
)

const (
	maxImages        = 100_000 // and as many article lists
	maxOtherMaterial = 1_000   // of each other kind
	maxMaterialPage  = 20
)

// serveMaterialAdd is POST /cgi-bin/material/add_material (platform.md 9.2).
func (s *Simulator) serveMaterialAdd(c *call) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return
	}
	kind := wechat.MediaType(queryValue(c.query, "type"))
	form, code := parseForm(c.form, c.body)
	if code == codeOK {
		code = checkUpload(string(kind), &form)
	}
	f := &storedFile{kind: kind, permanent: true, at: c.at, name: form.name, body: form.file}
	if code == codeOK {
		code = f.describe(form.description)
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.media.roomFor(kind, 1) {
		c.refuse(codeMaterialFull)
		return
	}
	s.addMaterial(a, f)
	c.kind = string(kind)
	c.answerJSON(struct {
		ID  string `json:"media_id"`
		URL string `json:"url,omitempty"`
	}{f.id, f.url})
}

// describe reads what stands beside a video and must not stand beside anything else.
func (f *storedFile) describe(description []byte) int {
	if f.kind != wechat.MediaVideo {
		if description != nil {
			return codeUnknownField
		}
		return codeOK
	}
	if description == nil {
		return codeBadParameter
	}
	top, code := parseObject(description)
	if code == codeOK {
		code = readString(top, "title", &f.title)
	}
	if code == codeOK {
		code = readString(top, "introduction", &f.about)
	}
	_, about := top["introduction"]
	switch {
	case code != codeOK:
		return code
	case f.title == "", !about:
		return codeBadParameter
	case len(top) != 2:
		return codeUnknownField
	}
	return codeOK
}

// roomFor reports whether n more of a kind fit; the account is locked.
func (m *mediaState) roomFor(kind wechat.MediaType, n int) bool {
	most := maxOtherMaterial
	if kind == wechat.MediaImage || kind == wechat.MaterialNews {
		most = maxImages
	}
	return m.count(kind)+n <= most
}

func (m *mediaState) count(kind wechat.MediaType) int {
	n := 0
	for _, f := range m.permanent {
		if f.kind == kind {
			n++
		}
	}
	return n
}

// addMaterial gives a permanent file its id and stores it; the account is locked.
func (s *Simulator) addMaterial(a *account, f *storedFile) {
	f.id = s.newMediaID(a, 43)
	if f.kind == wechat.MediaImage {
		f.url = pictureURL(f.id) + "?wx_fmt=" + string(wechat.DetectFormat(f.body))
	}
	a.media.keep(f)
}

// newsItem is an article of an old article list, as the platform shows it.
type newsItem struct {
	Title            string `json:"title"`
	Author           string `json:"author"`
	Digest           string `json:"digest"`
	Content          string `json:"content"`
	ContentSourceURL string `json:"content_source_url"`
	ThumbMediaID     string `json:"thumb_media_id"`
	ShowCoverPic     int    `json:"show_cover_pic"`
	URL              string `json:"url"`
	ThumbURL         string `json:"thumb_url"`
}

type newsContent struct {
	Articles []newsItem `json:"news_item"`
}

// news invents the articles of a list that was made on the website.
func (f *storedFile) news() newsContent {
	return newsContent{Articles: []newsItem{{
		Title: f.name, Content: "<p>" + f.name + "</p>", URL: "http://mp.example.com/s/" + f.id,
	}}}
}

// serveMaterialGet is POST /cgi-bin/material/get_material.
func (s *Simulator) serveMaterialGet(c *call) {
	a, id, ok := s.enterMaterial(c)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f, ok := a.living(id, c.at)
	switch {
	case !ok, !f.permanent:
		c.refuse(codeBadMediaID)
	case f.kind == wechat.MaterialNews:
		c.answerJSON(f.news())
	case f.kind == wechat.MediaVideo:
		c.answerJSON(struct {
			Title   string `json:"title"`
			About   string `json:"description"`
			DownURL string `json:"down_url"`
		}{f.title, f.about, videoURL(f.id)})
	default:
		c.giveFile(f, contentTypeOf(f.body))
	}
}

// enterMaterial begins a call whose body is {"media_id"}.
func (s *Simulator) enterMaterial(c *call) (*account, string, bool) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return nil, "", false
	}
	var id string
	top, code := parseObject(c.body)
	if code == codeOK {
		code = readString(top, "media_id", &id)
	}
	switch {
	case code != codeOK:
	case id == "":
		code = codeBadMediaID
	case len(top) != 1:
		code = codeUnknownField
	}
	c.refuse(code)
	return a, id, code == codeOK
}

// serveMaterialDelete is POST /cgi-bin/material/del_material.
func (s *Simulator) serveMaterialDelete(c *call) {
	a, id, ok := s.enterMaterial(c)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f, ok := a.living(id, c.at)
	switch {
	case !ok, !f.permanent:
		c.refuse(codeBadMediaID)
	case a.menu.uses(id):
		c.refuse(codeMaterialInUse)
	default:
		f.body = nil
		a.refused[id] = true
		a.media.permanent = slices.DeleteFunc(a.media.permanent, func(other *storedFile) bool { return other == f })
	}
}

// serveMaterialCount is GET /cgi-bin/material/get_materialcount.
func (s *Simulator) serveMaterialCount(c *call) {
	a, ok := s.enter(c, "GET", true)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c.answerJSON(struct {
		Voices int `json:"voice_count"`
		Videos int `json:"video_count"`
		Images int `json:"image_count"`
		News   int `json:"news_count"`
	}{
		a.media.count(wechat.MediaVoice), a.media.count(wechat.MediaVideo),
		a.media.count(wechat.MediaImage), a.media.count(wechat.MaterialNews),
	})
}

// materialQuery is the body of batchget_material.
type materialQuery struct {
	kind          string
	offset, count int
}

func parseMaterialQuery(body []byte) (materialQuery, int) {
	var q materialQuery
	top, code := parseObject(body)
	if code == codeOK {
		code = readString(top, "type", &q.kind)
	}
	switch {
	case code != codeOK:
		return q, code
	case !slices.Contains([]string{"image", "video", "voice", "news"}, q.kind):
		return q, codeBadMediaType
	case top["offset"] == nil, top["count"] == nil:
		return q, codeBadParameter
	case json.Unmarshal(top["offset"], &q.offset) != nil, json.Unmarshal(top["count"], &q.count) != nil:
		return q, codeBadJSON
	case len(top) != 3:
		return q, codeUnknownField
	case q.offset < 0, q.count < 1, q.count > maxMaterialPage:
		return q, codeBadParameter
	}
	return q, codeOK
}

// materialEntry is a line of a list of material.
type materialEntry struct {
	ID      string       `json:"media_id"`
	Name    string       `json:"name,omitempty"`
	Content *newsContent `json:"content,omitempty"`
	Updated int64        `json:"update_time"`
	URL     string       `json:"url,omitempty"`
}

// serveMaterialList is POST /cgi-bin/material/batchget_material: the newest first.
func (s *Simulator) serveMaterialList(c *call) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return
	}
	q, code := parseMaterialQuery(c.body)
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	total, items := 0, []materialEntry{}
	for _, f := range slices.Backward(a.media.permanent) {
		if f.kind != wechat.MediaType(q.kind) {
			continue
		}
		if total >= q.offset && len(items) < q.count {
			items = append(items, f.entry())
		}
		total++
	}
	c.answerJSON(struct {
		Total int             `json:"total_count"`
		Count int             `json:"item_count"`
		Items []materialEntry `json:"item"`
	}{total, len(items), items})
}

func (f *storedFile) entry() materialEntry {
	e := materialEntry{ID: f.id, Name: f.name, Updated: f.at.Unix(), URL: f.url}
	if f.kind == wechat.MaterialNews {
		content := f.news()
		e.Name, e.Content = "", &content
	}
	return e
}
