package simulator

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"path"
	"slices"
	"strings"
	"time"

	"hongyan/wechat"
)

// mediaForm is an upload's body.
type mediaForm struct {
	name        string
	file        []byte
	description []byte // nil without that field
}

// parseForm reads a form with one file called media and, besides, at most a description.
func parseForm(contentType string, body []byte) (mediaForm, int) {
	var form mediaForm
	kind, params, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil, kind != "multipart/form-data", params["boundary"] == "":
		return form, codeMediaMissing
	case len(body) >= maxRequest: // it was cut there
		return form, codeMediaTooLarge
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return form, codeMediaMissing
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return form, codeMediaMissing
		}
		if code := form.take(part.FormName(), part.FileName(), content); code != codeOK {
			return form, code
		}
	}
	switch {
	case form.name == "":
		return form, codeMediaMissing
	case len(form.file) == 0:
		return form, codeEmptyMedia
	}
	return form, codeOK
}

func (f *mediaForm) take(field, fileName string, content []byte) int {
	switch {
	case field == "media" && f.name == "" && fileName != "":
		f.name, f.file = fileName, content
	case field == "media":
		return codeMediaMissing // without a file name the platform sees no file
	case field == "description" && f.description == nil && fileName == "":
		f.description = content
	default:
		return codeUnknownField
	}
	return codeOK
}

// fileRule is what the platform takes as a file of one kind (platform.md 9.1).
type fileRule struct {
	most     int // bytes
	formats  []wechat.MediaFormat
	time     time.Duration // 0 for no limit
	sizeCode int
	kindCode int
}

func fileRuleOf(kind string) (fileRule, bool) {
	const mega = 1 << 20
	switch wechat.MediaType(kind) {
	case wechat.MediaImage:
		pictures := []wechat.MediaFormat{wechat.FormatPNG, wechat.FormatJPEG, wechat.FormatGIF}
		return fileRule{most: 10 * mega, formats: pictures, sizeCode: codeImageSize, kindCode: codeBadImageFormat}, true
	case wechat.MediaVoice:
		sounds := []wechat.MediaFormat{wechat.FormatAMR, wechat.FormatMP3}
		return fileRule{
			most: 2 * mega, formats: sounds, time: time.Minute, sizeCode: codeVoiceSize, kindCode: codeUnsupportedFile,
		}, true
	case wechat.MediaVideo:
		films := []wechat.MediaFormat{wechat.FormatMP4}
		return fileRule{most: 10 * mega, formats: films, sizeCode: codeVideoSize, kindCode: codeUnsupportedFile}, true
	case wechat.MediaThumb:
		covers := []wechat.MediaFormat{wechat.FormatJPEG}
		return fileRule{most: 64 << 10, formats: covers, sizeCode: codeThumbSize, kindCode: codeBadImageFormat}, true
	default:
		return fileRule{}, false
	}
}

// articleImageRule is that of uploadimg: pictures under 1 MB (platform.md 9.2).
func articleImageRule() fileRule {
	return fileRule{
		most: 1<<20 - 1, formats: []wechat.MediaFormat{wechat.FormatJPEG, wechat.FormatPNG},
		sizeCode: codeImageSize, kindCode: codeBadImageFormat,
	}
}

func checkUpload(kind string, form *mediaForm) int {
	rule, ok := fileRuleOf(kind)
	if !ok {
		return codeBadMediaType
	}
	return rule.check(form)
}

// check judges a file: its name, size and content. The name must end as the content is.
func (r fileRule) check(form *mediaForm) int {
	format := wechat.DetectFormat(form.file)
	ending := wechat.MediaFormat(strings.TrimPrefix(strings.ToLower(path.Ext(form.name)), "."))
	if ending == "jpeg" {
		ending = wechat.FormatJPEG
	}
	switch {
	case !slices.Contains(r.formats, ending):
		return codeBadFileType
	case len(form.file) > r.most:
		return r.sizeCode
	case format != ending:
		return r.kindCode
	case r.time == 0:
		return codeOK
	}
	length, known := wechat.PlayTime(form.file)
	switch {
	case !known:
		return r.kindCode
	case length > r.time:
		return codePlayTime
	}
	return codeOK
}
