package wechat_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

// storeWorld is a simulator with one account, and a client of it, for files and menus.
type storeWorld struct {
	t      *testing.T
	sim    *simulator.Simulator
	clock  *clock.Manual
	http   http.RoundTripper
	client *wechat.Client
	acc    wechat.Account
}

func newStoreWorld(t *testing.T, sw simulator.Switches) *storeWorld {
	t.Helper()
	return newStoreWorldOf(t, sw, simulator.Account{Verified: true})
}

func newStoreWorldOf(t *testing.T, sw simulator.Switches, cfg simulator.Account) *storeWorld {
	t.Helper()
	w := &storeWorld{t: t, clock: clock.NewManual(time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC))}
	w.acc = wechat.Account{ID: 1, AppID: "wxstore", Secret: "s3cret"}
	w.sim = simulator.New(simulator.Options{Clock: w.clock, Switches: sw})
	t.Cleanup(w.sim.Close)
	w.http = w.sim.RoundTripper()
	w.client = wechat.New(wechat.Options{Transport: w.http, Clock: w.clock})
	cfg.AppID, cfg.Secret = w.acc.AppID, w.acc.Secret
	require.NoError(t, w.sim.AddAccount(cfg))
	return w
}

// wire is a request without the client.
type wire struct{ method, path, query, form, body string }

// answer makes a request and returns the answer.
func (w *storeWorld) answer(x wire) []byte {
	w.t.Helper()
	token, err := w.client.Token(w.t.Context(), w.acc)
	require.NoError(w.t, err)
	target := wechat.DefaultBaseURL + x.path + "?access_token=" + token + "&" + x.query
	req, err := http.NewRequestWithContext(w.t.Context(), x.method, target, strings.NewReader(x.body))
	require.NoError(w.t, err)
	req.Header.Set("Content-Type", x.form)
	resp, err := w.http.RoundTrip(req)
	require.NoError(w.t, err)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Body.Close())
	return raw
}

// code makes a request and returns the errcode of the answer.
func (w *storeWorld) code(x wire) int {
	w.t.Helper()
	var out struct {
		ErrCode int `json:"errcode"`
	}
	raw := w.answer(x)
	require.NoError(w.t, json.Unmarshal(raw, &out), "%s", raw)
	return out.ErrCode
}

// calls are the requests to a path.
func (w *storeWorld) calls(path string) []simulator.Call {
	return w.sim.Calls(simulator.Filter{Path: path})
}

// bodies are the bodies of those requests.
func (w *storeWorld) bodies(path string) []string {
	var out []string
	for _, call := range w.calls(path) {
		out = append(out, call.Body)
	}
	return out
}

// formPart is a part of a form; file "" is a plain field.
type formPart struct {
	field, file string
	body        []byte
}

func formOf(t *testing.T, parts ...formPart) (form, body string) {
	t.Helper()
	var b bytes.Buffer
	out := multipart.NewWriter(&b)
	for _, p := range parts {
		header := textproto.MIMEHeader{}
		disposition := `form-data; name="` + p.field + `"`
		if p.file != "" {
			disposition += `; filename="` + p.file + `"`
		}
		header.Set("Content-Disposition", disposition)
		part, err := out.CreatePart(header)
		require.NoError(t, err)
		_, err = part.Write(p.body)
		require.NoError(t, err)
	}
	require.NoError(t, out.Close())
	return out.FormDataContentType(), b.String()
}

// upload sends a form without the client's checks and returns the errcode.
func (w *storeWorld) upload(path, kind string, parts ...formPart) int {
	w.t.Helper()
	form, body := formOf(w.t, parts...)
	return w.code(wire{http.MethodPost, path, "type=" + kind, form, body})
}

func padded(head string, size int) []byte {
	out := make([]byte, max(size, len(head)))
	copy(out, head)
	return out
}

const (
	pngHead = "\x89PNG\r\n\x1a\n"
	jpgHead = "\xff\xd8\xff\xe0"
	gifHead = "GIF89a"
	mp4Head = "\x00\x00\x00\x18ftypmp42"
)

// amr is a recording of so many frames of 20 ms.
func amr(frames int) []byte {
	frame := padded("\x04", 13)
	return append([]byte("#!AMR\n"), bytes.Repeat(frame, frames)...)
}

// mp3 is a recording of so many frames of 1152/44100 s at 320 kbit/s.
func mp3(frames int) []byte { return bytes.Repeat(padded("\xff\xfb\xe0\x00", 1044), frames) }

func TestAnUploadIsAFormWithOneFile(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{})
	body := padded(pngHead, 100)
	got, err := w.client.UploadMedia(t.Context(), w.acc, wechat.MediaImage, wechat.File{Name: `海 "报".JPG`, Type: "x/y", Body: body})
	require.NoError(t, err)
	require.Equal(t, wechat.UploadedMedia{Type: wechat.MediaImage, MediaID: got.MediaID, CreatedAt: w.clock.Now()}, got)
	require.NotEmpty(t, got.MediaID)

	calls := w.calls(simulator.PathMediaUpload)
	require.Len(t, calls, 1)
	head, _, _ := strings.Cut(calls[0].Body, "\r\n\r\n")
	require.Contains(t, head, `form-data; name="media"; filename="海 \"报\".JPG.png"; filelength=100`)
	require.Contains(t, head, "Content-Type: image/png")
	stored, err := w.sim.Media(w.acc.AppID)
	require.NoError(t, err)
	require.Equal(t, []simulator.StoredMedia{{
		MediaID: got.MediaID, Type: wechat.MediaImage, Name: `海 "报".JPG.png`, Bytes: 100, At: w.clock.Now(),
	}}, stored)
}

func TestAFilesNameEndsAsItsContentIs(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"": "file.jpg", "a": "a.jpg", "a.jpg": "a.jpg", "a.JPEG": "a.JPEG", "a.png": "a.png.jpg"} {
		w := newStoreWorld(t, simulator.Switches{})
		_, err := w.client.UploadMedia(t.Context(), w.acc, wechat.MediaThumb, wechat.File{Name: name, Body: []byte(jpgHead)})
		require.NoError(t, err)
		require.Contains(t, w.calls(simulator.PathMediaUpload)[0].Body, `filename="`+want+`"`)
	}
}

// TestAnswersToUploadsAreReadAsDocumented plays the platform's samples.
func TestAnswersToUploadsAreReadAsDocumented(t *testing.T) {
	t.Parallel()
	file := wechat.File{Body: []byte(jpgHead)}
	for answer, want := range map[string]string{
		`{"type":"image","media_id":"MEDIA_ID","created_at":123456789}`:         "MEDIA_ID",
		`{"type":"thumb","thumb_media_id":"MEDIA_ID","created_at":"123456789"}`: "MEDIA_ID",
		`{"errcode":0,"errmsg":"ok"}`:                                           "",
		`{}`:                                                                    "",
	} {
		client := saying(answer, "application/json")
		got, err := client.UploadMedia(t.Context(), wechat.Account{AppID: "wx1"}, wechat.MediaThumb, file)
		if want == "" {
			require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(err), "an answer without an id proves nothing")
			_, err = client.AddMaterial(t.Context(), wechat.Account{AppID: "wx1"}, wechat.MediaThumb, file)
			require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(err))
			_, err = client.UploadArticleImage(t.Context(), wechat.Account{AppID: "wx1"}, file)
			require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(err))
			continue
		}
		require.NoError(t, err)
		require.Equal(t, want, got.MediaID)
		require.Equal(t, int64(123456789), got.CreatedAt.Unix())
	}
}

// saying returns a client of a platform that gives one answer to everything.
func saying(answer, kind string) *wechat.Client {
	return wechat.New(wechat.Options{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
		if strings.Contains(r.URL.Path, "token") {
			return saysJSON(`{"access_token":"T","expires_in":7200}`), nil
		}
		resp := saysJSON(answer)
		resp.Header.Set("Content-Type", kind)
		resp.Header.Set("Content-Disposition", `attachment; filename="MEDIA_ID.jpg"`)
		return resp, nil
	})})
}

func TestAFileMayHaveSoManyBytesAndNotMore(t *testing.T) {
	t.Parallel()
	for kind, c := range map[wechat.MediaType]struct {
		head, name string
		most, code int
	}{
		wechat.MediaImage: {gifHead, "a.gif", 10 << 20, 40009},
		wechat.MediaVoice: {string(mp3(1)), "a.mp3", 2 << 20, 40010},
		wechat.MediaVideo: {mp4Head, "a.mp4", 10 << 20, 40011},
		wechat.MediaThumb: {jpgHead, "a.jpg", 64 << 10, 40012},
	} {
		w := newStoreWorld(t, simulator.Switches{})
		_, err := w.client.UploadMedia(t.Context(), w.acc, kind, wechat.File{Body: padded(c.head, c.most)})
		require.NoError(t, err, kind)
		over := padded(c.head, c.most+1)
		_, err = w.client.UploadMedia(t.Context(), w.acc, kind, wechat.File{Body: over})
		requireBadField(t, "media", "file_bytes", err)
		require.Len(t, w.calls(simulator.PathMediaUpload), 1, "what is refused here makes no call")
		require.Equal(t, c.code, w.upload(simulator.PathMediaUpload, string(kind), formPart{"media", c.name, over}))
	}
}

func TestARecordingMayLastSixtySecondsAndNotMore(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{})
	wide := func(frames int) []byte {
		return append([]byte("#!AMR-WB\n"), bytes.Repeat(padded("\x04", 18), frames)...)
	}
	// Its tag of 128 bytes looks like a frame that does not count.
	tagged := slices.Concat([]byte("ID3\x03\x00\x00\x00\x00\x01\x00"), padded(string(mp3(1)[:4]), 128), mp3(1))
	for frame, body := range map[time.Duration][]byte{36 * time.Millisecond: slowMP3(1), time.Second * 1152 / 44_100: tagged} {
		length, known := wechat.PlayTime(body)
		require.True(t, known)
		require.Equal(t, frame, length)
	}
	for _, c := range []struct {
		body []byte
		name string
		ok   bool
	}{
		{amr(3000), "a.amr", true}, {amr(3001), "a.amr", false},
		{wide(3000), "a.amr", true}, {wide(3001), "a.amr", false},
		{slowMP3(1666), "a.mp3", true}, {slowMP3(1667), "a.mp3", false}, // frames of 36 ms
		{tagged, "a.mp3", true},
	} {
		_, err := w.client.UploadMedia(t.Context(), w.acc, wechat.MediaVoice, wechat.File{Body: c.body})
		code := w.upload(simulator.PathMediaUpload, "voice", formPart{"media", c.name, c.body})
		if c.ok {
			require.NoError(t, err)
			require.Zero(t, code)
			continue
		}
		requireBadField(t, "media", "play_time", err)
		require.Equal(t, 45007, code)
	}
}

// slowMP3 has frames of 576 samples at 16 kHz and 8 kbit/s (MPEG 2).
func slowMP3(frames int) []byte { return bytes.Repeat(padded("\xff\xf3\x18\x00", 36), frames) }

func TestAFilesContentMustBeOfItsKind(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{
		"png": []byte(pngHead), "jpg": []byte(jpgHead), "gif": []byte(gifHead), "amr": amr(1), "mp3": mp3(1), "mp4": []byte(mp4Head),
		"txt": []byte("words, not a picture"), "mov": []byte("\x00\x00\x00\x14ftypqt  "), "bmp": []byte("BM\x00\x00\x00\x00\x00\x00"),
	}
	takes := map[wechat.MediaType]struct {
		formats string
		code    int
	}{
		wechat.MediaImage: {"png jpg gif", 40137}, wechat.MediaVoice: {"amr mp3", 40113},
		wechat.MediaVideo: {"mp4", 40113}, wechat.MediaThumb: {"jpg", 40137},
	}
	w := newStoreWorld(t, simulator.Switches{})
	for kind, c := range takes {
		name := "a." + strings.Fields(c.formats)[0]
		for format, body := range files {
			err := wechat.CheckMedia(kind, body)
			code := w.upload(simulator.PathMediaUpload, string(kind), formPart{"media", name, body})
			switch {
			case !strings.Contains(c.formats, format):
				requireBadField(t, "media", "format", err)
				require.Equal(t, c.code, code, "%s as %s", format, kind)
			case strings.HasSuffix(name, format):
				require.NoError(t, err)
				require.Zero(t, code)
			default:
				require.NoError(t, err)
				require.Equal(t, c.code, code, "%s named %s", format, name)
			}
		}
		requireBadField(t, "media", "required", wechat.CheckMedia(kind, nil))
	}
	requireBadField(t, "type", "unknown_type", wechat.CheckMedia("news", files["png"]))
	_, err := w.client.UploadMedia(t.Context(), w.acc, "file", wechat.File{Body: files["png"]})
	requireBadField(t, "type", "unknown_type", err)
}

func TestFormsOfUploadsAreReadStrictly(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{})
	file := formPart{"media", "a.png", []byte(pngHead)}
	for want, forms := range map[int][][]formPart{
		0:     {{file}},
		40005: {{{"media", "a.bmp", file.body}}, {{"media", "a", file.body}}, {{"media", "a.mp3", file.body}}},
		41005: {{}, {{"media", "", file.body}}, {file, file}},
		44001: {{{"media", "a.png", nil}}},
		40097: {{file, {"x", "", nil}}, {{"picture", "a.png", file.body}}, {file, {"description", "", []byte(`{}`)}}},
	} {
		for _, parts := range forms {
			require.Equal(t, want, w.upload(simulator.PathMediaUpload, "image", parts...), "%v", parts)
			require.Equal(t, want, w.upload(simulator.PathArticleUpload, "", parts...), "%v", parts)
		}
	}
	require.Equal(t, 40004, w.upload(simulator.PathMediaUpload, "file", file))
	require.Equal(t, 40004, w.upload(simulator.PathMediaUpload, "", file))
	form, body := formOf(t, file)
	post := func(form, body string) int {
		return w.code(wire{http.MethodPost, simulator.PathMediaUpload, "type=image", form, body})
	}
	require.Equal(t, 41005, post("application/json", body))
	require.Equal(t, 41005, post("multipart/form-data", body))
	require.Equal(t, 41005, post(form, body[:len(body)-8]))
	require.Equal(t, 45001, post(form, body+strings.Repeat("x", 12<<20)))
	require.Equal(t, 43002, w.code(wire{method: http.MethodGet, path: simulator.PathMediaUpload}))
	require.Equal(t, 43001, w.code(wire{method: http.MethodPost, path: simulator.PathMediaGet}))
}

// writer adds a fan who has just written.
func (w *storeWorld) writer() string {
	w.t.Helper()
	ids, err := w.sim.AddFans(w.acc.AppID, 1, true)
	require.NoError(w.t, err)
	_, err = w.sim.Text(w.t.Context(), ids[0], "hi")
	require.NoError(w.t, err)
	return ids[0]
}

func TestAnArticlesPictureIsUnderOneMegabyte(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{})
	address, err := w.client.UploadArticleImage(t.Context(), w.acc, wechat.File{Body: padded(pngHead, 1<<20-1)})
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(address, "http://mmbiz."), address)
	over := padded(pngHead, 1<<20)
	_, err = w.client.UploadArticleImage(t.Context(), w.acc, wechat.File{Body: over})
	requireBadField(t, "media", "file_bytes", err)
	requireBadField(t, "media", "format", wechat.CheckArticleImage([]byte(gifHead)))
	require.Equal(t, 40009, w.upload(simulator.PathArticleUpload, "", formPart{"media", "a.png", over}))
	require.Equal(t, 40005, w.upload(simulator.PathArticleUpload, "", formPart{"media", "a.gif", []byte(gifHead)}))
	require.Equal(t, 40137, w.upload(simulator.PathArticleUpload, "", formPart{"media", "a.jpg", []byte(gifHead)}))
	counts, err := w.client.MaterialCounts(t.Context(), w.acc)
	require.NoError(t, err)
	require.Zero(t, counts)
}
