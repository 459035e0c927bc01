package wechat

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"hongyan/internal/fault"
)

// MediaType is the kind of a stored file (platform.md 9.1).
type MediaType string

// The kinds. MaterialNews, an old list of articles, exists only as permanent material and
// cannot be uploaded.
const (
	MediaImage   MediaType = "image"
	MediaVoice   MediaType = "voice"
	MediaVideo   MediaType = "video"
	MediaThumb   MediaType = "thumb" // the cover of a video, of music or of a mini-program's card
	MaterialNews MediaType = "news"
)

// The platform's limits (platform.md 9.1, 9.2).
const (
	MaxImageBytes        = 10 << 20
	MaxVoiceBytes        = 2 << 20
	MaxVoiceTime         = 60 * time.Second
	MaxVideoBytes        = 10 << 20
	MaxThumbBytes        = 64 << 10
	MaxArticleImageBytes = 1<<20 - 1 // a picture inside an article is smaller than 1 MB

	// MediaLife is how long temporary media live. What goes out later must be uploaded again.
	MediaLife = 3 * 24 * time.Hour
)

const (
	apiMediaUpload   = "/cgi-bin/media/upload"
	apiMediaGet      = "/cgi-bin/media/get"
	apiMediaSpeex    = "/cgi-bin/media/get/jssdk"
	apiArticleUpload = "/cgi-bin/media/uploadimg"
)

// mediaRule is what the platform takes as a file of one kind.
type mediaRule struct {
	bytes   int
	time    time.Duration // 0 for no limit
	formats []MediaFormat
}

func mediaRuleOf(t MediaType) (mediaRule, bool) {
	switch t {
	case MediaImage:
		return mediaRule{bytes: MaxImageBytes, formats: []MediaFormat{FormatPNG, FormatJPEG, FormatGIF}}, true
	case MediaVoice:
		return mediaRule{bytes: MaxVoiceBytes, time: MaxVoiceTime, formats: []MediaFormat{FormatAMR, FormatMP3}}, true
	case MediaVideo:
		return mediaRule{bytes: MaxVideoBytes, formats: []MediaFormat{FormatMP4}}, true
	case MediaThumb:
		return mediaRule{bytes: MaxThumbBytes, formats: []MediaFormat{FormatJPEG}}, true
	default:
		return mediaRule{}, false
	}
}

// CheckMedia says whether the platform would take body as media of kind t: by its content,
// whatever its name is. Every refusal is a fault.Invalid error of the field "media", or
// "type" when t cannot be uploaded.
func CheckMedia(t MediaType, body []byte) error {
	rule, ok := mediaRuleOf(t)
	if !ok {
		return fault.BadField("type", "unknown_type", "%q cannot be uploaded", t)
	}
	return rule.check(body)
}

// CheckArticleImage is CheckMedia for UploadArticleImage.
func CheckArticleImage(body []byte) error { return articleImageRule().check(body) }

func articleImageRule() mediaRule {
	return mediaRule{bytes: MaxArticleImageBytes, formats: []MediaFormat{FormatJPEG, FormatPNG}}
}

func (r mediaRule) check(body []byte) error {
	switch {
	case len(body) == 0:
		return fault.BadField("media", "required", "the file is empty")
	case len(body) > r.bytes:
		return fault.BadField("media", "file_bytes", "the file has %d bytes, the platform takes at most %d", len(body), r.bytes)
	case !slices.Contains(r.formats, DetectFormat(body)):
		return fault.BadField("media", "format", "the file's content is none of %v", r.formats)
	case r.time == 0:
		return nil
	}
	// A length that cannot be read is left to the platform.
	if length, known := PlayTime(body); known && length > r.time {
		return fault.BadField("media", "play_time", "the recording lasts %s, the platform takes at most %s", length, r.time)
	}
	return nil
}

// upload checks a file and gives it the type and the name's ending that its content has:
// the platform looks at both.
func (r mediaRule) upload(f File) (File, error) {
	if err := r.check(f.Body); err != nil {
		return File{}, err
	}
	format := DetectFormat(f.Body)
	ending := strings.ToLower(path.Ext(f.Name))
	if ending != "."+string(format) && (format != FormatJPEG || ending != ".jpeg") {
		f.Name = cmp.Or(f.Name, "file") + "." + string(format)
	}
	f.Type = format.MIME()
	return f, nil
}

// UploadedMedia is a temporary file on the platform.
type UploadedMedia struct {
	Type      MediaType
	MediaID   string
	CreatedAt time.Time // the platform's time, in whole seconds; it dies MediaLife later
}

// UploadMedia stores a temporary file for three days (platform.md 9.1). Name may be
// empty and Type is ignored: both follow from the content. What the platform would
// refuse is a fault.Invalid error of the field "media" or "type", before any call.
func (c *Client) UploadMedia(ctx context.Context, acc Account, t MediaType, f File) (UploadedMedia, error) {
	file, err := uploadable(t, f)
	if err != nil {
		return UploadedMedia{}, err
	}
	var out struct {
		MediaID   string   `json:"media_id"`
		ThumbID   string   `json:"thumb_media_id"`
		CreatedAt looseInt `json:"created_at"`
	}
	up := upload{query: url.Values{"type": {string(t)}}, file: file}
	if err := c.upload(ctx, acc, apiMediaUpload, up, &out); err != nil {
		return UploadedMedia{}, err
	}
	id := cmp.Or(out.MediaID, out.ThumbID)
	if id == "" {
		return UploadedMedia{}, withoutProof(apiMediaUpload, "media_id")
	}
	return UploadedMedia{Type: t, MediaID: id, CreatedAt: time.Unix(int64(out.CreatedAt), 0).UTC()}, nil
}

func uploadable(t MediaType, f File) (File, error) {
	rule, ok := mediaRuleOf(t)
	if !ok {
		return File{}, fault.BadField("type", "unknown_type", "%q cannot be uploaded", t)
	}
	return rule.upload(f)
}

// UploadArticleImage stores a picture, JPEG or PNG under 1 MB, for use inside articles
// and returns its address (platform.md 9.2). It counts towards no total. What the
// platform would refuse is a fault.Invalid error of the field "media", before any call.
func (c *Client) UploadArticleImage(ctx context.Context, acc Account, f File) (string, error) {
	file, err := articleImageRule().upload(f)
	if err != nil {
		return "", err
	}
	var out struct {
		URL string `json:"url"`
	}
	if err := c.upload(ctx, acc, apiArticleUpload, upload{file: file}, &out); err != nil {
		return "", err
	}
	if out.URL == "" {
		return "", withoutProof(apiArticleUpload, "url")
	}
	return out.URL, nil
}

// MediaContent is what a media id stands for: a file or, of a video, where it can be had.
type MediaContent struct {
	File     File
	VideoURL string // "" when File is set
}

// GetMedia fetches a temporary file, uploaded or sent by a fan (platform.md 9.1). It
// answers 40007 for one that has died.
func (c *Client) GetMedia(ctx context.Context, acc Account, mediaID string) (MediaContent, error) {
	if mediaID == "" {
		return MediaContent{}, needed("media_id")
	}
	var out struct {
		VideoURL string `json:"video_url"`
	}
	var file File
	x := &exchange{
		api: apiMediaGet, method: http.MethodGet, query: url.Values{"media_id": {mediaID}}, out: &out, file: &file,
	}
	if err := c.call(ctx, acc, x); err != nil {
		return MediaContent{}, err
	}
	if !arrived(file) && out.VideoURL == "" {
		return MediaContent{}, withoutProof(apiMediaGet, "video_url")
	}
	return MediaContent{File: file, VideoURL: out.VideoURL}, nil
}

// GetSpeexVoice fetches a recording made with the JS-SDK in its full quality, 16 kHz
// Speex; GetMedia gives it as AMR at 8 kHz (platform.md 9.1).
func (c *Client) GetSpeexVoice(ctx context.Context, acc Account, mediaID string) (File, error) {
	if mediaID == "" {
		return File{}, needed("media_id")
	}
	var file File
	x := &exchange{
		api: apiMediaSpeex, method: http.MethodGet, query: url.Values{"media_id": {mediaID}}, strict: true, file: &file,
	}
	if err := c.call(ctx, acc, x); err != nil {
		return File{}, err
	}
	if !arrived(file) {
		return File{}, withoutProof(apiMediaSpeex, "file")
	}
	return file, nil
}

// arrived reports whether the answer was a file: it then has a Content-Type, even when it is empty.
func arrived(f File) bool { return f.Type != "" }

func needed(field string) error { return fault.BadField(field, "required", "this is needed") }

// looseInt reads a whole number that the platform writes with or without quotes; empty is 0.
type looseInt int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *looseInt) UnmarshalJSON(raw []byte) error {
	text := strings.Trim(string(raw), `"`)
	if text == "" || text == "null" {
		*n = 0
		return nil
	}
	var number int64
	if err := json.Unmarshal([]byte(text), &number); err != nil {
		return fmt.Errorf("read a number: %w", err)
	}
	*n = looseInt(number)
	return nil
}
