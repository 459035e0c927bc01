package simulator

import (
	"slices"
	"strconv"
	"time"

	"hongyan/wechat"
)

// The paths of media and material.
const (
	PathMediaUpload    = "/cgi-bin/media/upload"
	PathMediaGet       = "/cgi-bin/media/get"
	PathMediaSpeex     = "/cgi-bin/media/get/jssdk"
	PathArticleUpload  = "/cgi-bin/media/uploadimg"
	PathMaterialAdd    = "/cgi-bin/material/add_material"
	PathMaterialGet    = "/cgi-bin/material/get_material"
	PathMaterialDelete = "/cgi-bin/material/del_material"
	PathMaterialCount  = "/cgi-bin/material/get_materialcount"
	PathMaterialList   = "/cgi-bin/material/batchget_material"
)

// The codes of media and material (platform.md 9.2, 12.3).
const (
	codeBadMediaType    = 40004
	codeBadFileType     = 40005
	codeImageSize       = 40009
	codeVoiceSize       = 40010
	codeVideoSize       = 40011
	codeThumbSize       = 40012
	codeUnsupportedFile = 40113
	codeBadImageFormat  = 40137
	codeMediaMissing    = 41005
	codeEmptyMedia      = 44001
	codeMediaTooLarge   = 45001
	codePlayTime        = 45007
	codeMaterialFull    = 45074
	codeMaterialInUse   = 48005
)

// mediaRoutes are media and material (platform.md 9).
func mediaRoutes() []route {
	return []route{
		{PathMediaUpload, Limit{Daily: 100_000}, (*Simulator).serveMediaUpload},
		{PathMediaGet, Limit{Daily: 200_000}, (*Simulator).serveMediaGet},
		{PathMediaSpeex, Limit{}, (*Simulator).serveMediaSpeex},
		{PathArticleUpload, Limit{}, (*Simulator).serveArticleUpload},
		{PathMaterialAdd, Limit{}, (*Simulator).serveMaterialAdd},
		{PathMaterialGet, Limit{}, (*Simulator).serveMaterialGet},
		{PathMaterialDelete, Limit{}, (*Simulator).serveMaterialDelete},
		{PathMaterialCount, Limit{}, (*Simulator).serveMaterialCount},
		{PathMaterialList, Limit{}, (*Simulator).serveMaterialList},
	}
}

// mediaState is what an account keeps for media and material (platform.md 9); it is guarded by the account's mutex.
type mediaState struct {
	items     map[string]*storedFile
	permanent []*storedFile // in order of addition
	temporary []*storedFile // in order of upload, living or not
	made      uint64        // numbers media ids and addresses of pictures
}

// storedFile is a file on the platform.
type storedFile struct {
	id        string
	kind      wechat.MediaType
	permanent bool
	at        time.Time
	name      string
	body      []byte // nil once it is dead
	title     string // of a permanent video
	about     string // of a permanent video
	url       string // of a permanent picture
}

func (f *storedFile) alive(at time.Time) bool {
	return f.permanent || at.Before(f.at.Add(wechat.MediaLife))
}

// keep stores a file under its id; the account is locked.
func (m *mediaState) keep(f *storedFile) {
	if m.items == nil {
		m.items = map[string]*storedFile{}
	}
	m.items[f.id] = f
	if f.permanent {
		m.permanent = append(m.permanent, f)
		return
	}
	m.temporary = append(m.temporary, f)
	// The bytes of the dead would fill the memory; their ids stay, and answer 40007.
	for i := 0; i < len(m.temporary) && !m.temporary[i].alive(f.at); i++ {
		m.temporary[i].body = nil
	}
	m.temporary = slices.DeleteFunc(m.temporary, func(old *storedFile) bool { return old.body == nil })
}

// living finds a file that has not died; the account is locked.
func (a *account) living(id string, at time.Time) (*storedFile, bool) {
	f, ok := a.media.items[id]
	if !ok || a.refused[id] || !f.alive(at) {
		return nil, false
	}
	return f, true
}

// mediaUse is what a message or a menu wants to do with a media id.
type mediaUse struct {
	kinds     []wechat.MediaType
	permanent bool
	strict    bool // unknown ids and wrong kinds are refused as well
	at        time.Time
}

// mediaUsable judges the use of a media id; the account is locked.
func (a *account) mediaUsable(id string, use mediaUse) bool {
	f, known := a.media.items[id]
	switch {
	case a.refused[id], known && !f.alive(use.at):
		return false
	case !use.strict:
		return true
	}
	return known && slices.Contains(use.kinds, f.kind) && (f.permanent || !use.permanent)
}

// kefuMediaUsable judges the media ids of a customer-service message. mpnews names a draft
// or an article list, which is no upload and stands under no strict rule.
func (a *account) kefuMediaUsable(m *kefuMessage, sw *Switches, at time.Time) bool {
	if len(m.media) == 0 {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, id := range m.media {
		use := mediaUse{strict: sw.StrictMedia && m.kind != "mpnews", at: at}
		if i == 0 && contentNeedsMedia(m.kind) {
			use.kinds = []wechat.MediaType{wechat.MediaType(m.kind)}
		} else {
			use.kinds = []wechat.MediaType{wechat.MediaThumb, wechat.MediaImage}
		}
		if !a.mediaUsable(id, use) {
			return false
		}
	}
	return true
}

// contentNeedsMedia tells kinds whose first media id is the content from those that have
// nothing but a cover.
func contentNeedsMedia(kind string) bool {
	return kind == "image" || kind == "voice" || kind == "video"
}

// serveMediaUpload is POST /cgi-bin/media/upload (platform.md 9.1).
func (s *Simulator) serveMediaUpload(c *call) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return
	}
	form, code := parseForm(c.form, c.body)
	if code == codeOK {
		code = checkUpload(queryValue(c.query, "type"), &form)
	}
	if code == codeOK && form.description != nil {
		code = codeUnknownField
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	kind := wechat.MediaType(queryValue(c.query, "type"))
	a.mu.Lock()
	defer a.mu.Unlock()
	id := s.newMediaID(a, 64)
	a.media.keep(&storedFile{id: id, kind: kind, at: c.at, name: form.name, body: form.file})
	c.kind = string(kind)
	name := "media_id"
	if kind == wechat.MediaThumb {
		name = "thumb_media_id"
	}
	c.answer = []byte(`{"type":"` + string(kind) + `","` + name + `":"` + id + `","created_at":` +
		strconv.FormatInt(c.at.Unix(), 10) + `}`)
}

// newMediaID invents an id; the account is locked.
func (s *Simulator) newMediaID(a *account, length int) string {
	a.media.made++
	return letters(length, s.seed, hashText(a.config().AppID), 0x3ed1a, a.media.made)
}

// serveMediaGet is GET /cgi-bin/media/get.
func (s *Simulator) serveMediaGet(c *call) {
	s.serveStored(c, func(f *storedFile) bool {
		if f.kind != wechat.MediaVideo {
			c.giveFile(f, contentTypeOf(f.body))
			return true
		}
		c.answerJSON(struct {
			URL string `json:"video_url"`
		}{videoURL(f.id)})
		return true
	})
}

// serveMediaSpeex is GET /cgi-bin/media/get/jssdk: recordings only. The bytes are those
// that were stored, whatever the type says.
func (s *Simulator) serveMediaSpeex(c *call) {
	s.serveStored(c, func(f *storedFile) bool {
		c.giveFile(f, "voice/speex")
		return f.kind == wechat.MediaVoice
	})
}

// serveStored answers with a temporary file, in the way that give has.
func (s *Simulator) serveStored(c *call, give func(*storedFile) bool) {
	a, ok := s.enter(c, "GET", true)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f, ok := a.living(queryValue(c.query, "media_id"), c.at)
	if !ok || f.permanent || !give(f) {
		c.answer, c.typed, c.file = nil, "", ""
		c.refuse(codeBadMediaID)
	}
}

// giveFile answers with a file as an attachment that is named by its media id.
func (c *call) giveFile(f *storedFile, mime string) {
	c.answer, c.typed, c.file = f.body, mime, f.id+"."+string(wechat.DetectFormat(f.body))
}

// serveArticleUpload is POST /cgi-bin/media/uploadimg.
func (s *Simulator) serveArticleUpload(c *call) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return
	}
	form, code := parseForm(c.form, c.body)
	if code == codeOK {
		code = articleImageRule().check(&form)
	}
	if code == codeOK && form.description != nil {
		code = codeUnknownField
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c.answerJSON(struct {
		URL string `json:"url"`
	}{pictureURL(s.newMediaID(a, 64))})
}

func pictureURL(id string) string { return "http://mmbiz.example.com/mmbiz_jpg/" + id + "/0" }

func videoURL(id string) string { return "http://vweixinp.example.com/" + id + ".mp4" }

func contentTypeOf(body []byte) string { return wechat.DetectFormat(body).MIME() }
