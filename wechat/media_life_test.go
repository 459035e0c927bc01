package wechat_test

import (
	"mime"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestTemporaryMediaLiveThreeDays(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{})
	body := padded(jpgHead, 5000)
	up, err := w.client.UploadMedia(t.Context(), w.acc, wechat.MediaImage, wechat.File{Body: body})
	require.NoError(t, err)
	image := wechat.Message{Kind: wechat.KindImage, Image: &wechat.Media{MediaID: up.MediaID}}
	w.clock.Advance(wechat.MediaLife - time.Millisecond)
	fan := w.writer()
	got, err := w.client.GetMedia(t.Context(), w.acc, up.MediaID)
	require.NoError(t, err)
	require.Equal(t, wechat.MediaContent{File: wechat.File{Name: up.MediaID + ".jpg", Type: "image/jpeg", Body: body}}, got)
	require.NoError(t, w.client.SendKefu(t.Context(), w.acc, fan, image))

	w.clock.Advance(time.Millisecond)
	_, err = w.client.GetMedia(t.Context(), w.acc, up.MediaID)
	requireCode(t, 40007, err)
	requireCode(t, 40007, w.client.SendKefu(t.Context(), w.acc, fan, image))
	_, err = w.client.UploadMedia(t.Context(), w.acc, wechat.MediaImage, wechat.File{Body: body})
	require.NoError(t, err)
	requireCode(t, 40007, w.client.SendKefu(t.Context(), w.acc, fan, image))
	stored, err := w.sim.Media(w.acc.AppID)
	require.NoError(t, err)
	require.Len(t, stored, 1)
	image.Image.MediaID = "never uploaded"
	require.NoError(t, w.client.SendKefu(t.Context(), w.acc, fan, image), "unknown ids are taken unless a switch says otherwise")
	require.NoError(t, w.sim.RefuseMedia(w.acc.AppID, "never uploaded"))
	requireCode(t, 40007, w.client.SendKefu(t.Context(), w.acc, fan, image))
}

func TestStrictMediaAreUploadedAliveAndOfTheRightKind(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{StrictMedia: true})
	put := func(kind wechat.MediaType, body []byte) string {
		up, err := w.client.UploadMedia(t.Context(), w.acc, kind, wechat.File{Body: body})
		require.NoError(t, err)
		return up.MediaID
	}
	image, voice := put(wechat.MediaImage, []byte(pngHead)), put(wechat.MediaVoice, amr(5))
	video, thumb := put(wechat.MediaVideo, []byte(mp4Head)), put(wechat.MediaThumb, []byte(jpgHead))
	kept, err := w.client.AddMaterial(t.Context(), w.acc, wechat.MediaImage, wechat.File{Body: []byte(pngHead)})
	require.NoError(t, err)
	for id, kinds := range map[string]string{
		image: "image music", kept.MediaID: "image music", voice: "voice", video: "video", thumb: "music", "unknown": "",
	} {
		for _, m := range []wechat.Message{
			{Kind: wechat.KindImage, Image: &wechat.Media{MediaID: id}},
			{Kind: wechat.KindVoice, Voice: &wechat.Media{MediaID: id}},
			{Kind: wechat.KindVideo, Video: &wechat.Video{MediaID: id, ThumbMediaID: thumb}},
			{Kind: wechat.KindMusic, Music: &wechat.Music{ThumbMediaID: id, MusicURL: "https://a.b/"}},
		} {
			err := w.client.SendKefu(t.Context(), w.acc, w.writer(), m)
			if strings.Contains(kinds, string(m.Kind)) {
				require.NoError(t, err, "%s as %s", kinds, m.Kind)
			} else {
				requireCode(t, 40007, err)
			}
		}
	}
	draft := wechat.Message{Kind: wechat.KindMPNews, MPNews: &wechat.Media{MediaID: "a draft"}}
	require.NoError(t, w.client.SendKefu(t.Context(), w.acc, w.writer(), draft), "drafts are no uploads")
}

func TestVideosAreToldByAddressAndRecordingsAsSpeex(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{})
	require.NoError(t, w.sim.PutMedia(w.acc.AppID, "V", wechat.MediaVideo, []byte(mp4Head)))
	require.NoError(t, w.sim.PutMedia(w.acc.AppID, "S", wechat.MediaVoice, amr(2)))
	require.Error(t, w.sim.PutMedia(w.acc.AppID, "S", wechat.MediaVoice, amr(2)))
	require.Error(t, w.sim.PutMedia(w.acc.AppID, "T", wechat.MediaVoice, nil))
	got, err := w.client.GetMedia(t.Context(), w.acc, "V")
	require.NoError(t, err)
	require.Equal(t, wechat.MediaContent{VideoURL: "http://vweixinp.example.com/V.mp4"}, got)
	got, err = w.client.GetMedia(t.Context(), w.acc, "S")
	require.NoError(t, err)
	require.Equal(t, "audio/amr", got.File.Type)
	voice, err := w.client.GetSpeexVoice(t.Context(), w.acc, "S")
	require.NoError(t, err)
	require.Equal(t, wechat.File{Name: "S.amr", Type: "voice/speex", Body: amr(2)}, voice)
	for _, id := range []string{"V", "nothing"} {
		_, err = w.client.GetSpeexVoice(t.Context(), w.acc, id)
		requireCode(t, 40007, err)
	}
	_, err = w.client.GetMedia(t.Context(), w.acc, "nothing")
	requireCode(t, 40007, err)
	_, err = w.client.GetMedia(t.Context(), w.acc, "")
	requireBadField(t, "media_id", "required", err)
	_, err = w.client.GetSpeexVoice(t.Context(), w.acc, "")
	requireBadField(t, "media_id", "required", err)
}

func TestAnswersWithFilesAreReadAsDocumented(t *testing.T) {
	t.Parallel()
	acc := wechat.Account{AppID: "wx1"}
	got, err := saying("\xff\xd8\xff bytes", "image/jpeg").GetMedia(t.Context(), acc, "MEDIA_ID")
	require.NoError(t, err)
	require.Equal(t, wechat.File{Name: "MEDIA_ID.jpg", Type: "image/jpeg", Body: []byte("\xff\xd8\xff bytes")}, got.File)
	got, err = saying(`{"video_url":"http://x/y"}`, "text/plain").GetMedia(t.Context(), acc, "MEDIA_ID")
	require.NoError(t, err)
	require.Equal(t, "http://x/y", got.VideoURL)
	_, err = saying(`{"errcode":40007,"errmsg":"invalid media_id"}`, "text/plain").GetMedia(t.Context(), acc, "MEDIA_ID")
	requireCode(t, 40007, err)
	for _, odd := range []string{`{}`, `{"errcode":0,"errmsg":"ok"}`} {
		_, err = saying(odd, "application/json").GetMedia(t.Context(), acc, "MEDIA_ID")
		require.ErrorContains(t, err, "the answer has no video_url")
		_, err = saying(odd, "application/json").GetSpeexVoice(t.Context(), acc, "MEDIA_ID")
		require.Error(t, err)
		_, err = saying(odd, "application/json").GetMaterial(t.Context(), acc, "MEDIA_ID")
		require.ErrorContains(t, err, "the answer has no file")
	}
}

func TestMediaOverARealConnection(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{})
	server := httptest.NewServer(w.sim)
	t.Cleanup(server.Close)
	transport := wechat.NewTransport(4)
	t.Cleanup(transport.CloseIdleConnections)
	client := wechat.New(wechat.Options{Transport: transport, Clock: w.clock})
	acc := w.acc
	acc.BaseURL = server.URL
	body := padded(jpgHead, 1<<20)
	up, err := client.UploadMedia(t.Context(), acc, wechat.MediaImage, wechat.File{Body: body})
	require.NoError(t, err)
	got, err := client.GetMedia(t.Context(), acc, up.MediaID)
	require.NoError(t, err)
	require.Equal(t, body, got.File.Body)
	added, err := client.AddMaterial(t.Context(), acc, wechat.MediaImage, wechat.File{Body: body})
	require.NoError(t, err)
	material, err := client.GetMaterial(t.Context(), acc, added.MediaID)
	require.NoError(t, err)
	require.Equal(t, body, material.File.Body)
	require.NoError(t, client.CreateMenu(t.Context(), acc, sampleMenu(added.MediaID)[:1]))
	menus, err := client.Menus(t.Context(), acc)
	require.NoError(t, err)
	require.Len(t, menus.Default, 1)
}

// FuzzRecordings: no bytes make the reader of formats panic or loop, and a playing time
// is that of a recording.
func FuzzRecordings(f *testing.F) {
	for _, seed := range [][]byte{amr(3), mp3(2), slowMP3(3), []byte("ID3\x03\x00\x00\x7f\x7f\x7f\x7f"), []byte("#!AMR-WB\n\x04"), []byte(mp4Head)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		format := wechat.DetectFormat(body)
		length, known := wechat.PlayTime(body)
		require.GreaterOrEqual(t, length, time.Duration(0))
		if known {
			require.Contains(t, []wechat.MediaFormat{wechat.FormatAMR, wechat.FormatMP3}, format)
		}
	})
}

// FuzzForms: whatever body an upload has, the simulator answers, and stores only what it
// would take from the client.
func FuzzForms(f *testing.F) {
	f.Add("multipart/form-data; boundary=b", []byte("--b\r\nContent-Disposition: form-data; name=\"media\"; filename=\"a.png\"\r\n\r\n"+pngHead+"\r\n--b--\r\n"))
	f.Add("multipart/form-data; boundary=b", []byte("--b\r\n\r\n--b--"))
	f.Add("multipart/form-data; boundary=\"", []byte("x"))
	f.Fuzz(func(t *testing.T, form string, body []byte) {
		if _, _, err := mime.ParseMediaType(form); err != nil {
			form = "multipart/form-data; boundary=b"
		}
		w := newStoreWorld(t, simulator.Switches{})
		code := w.code(wire{http.MethodPost, simulator.PathMediaUpload, "type=image", form, string(body)})
		stored, err := w.sim.Media(w.acc.AppID)
		require.NoError(t, err)
		require.Equal(t, code == 0, len(stored) == 1)
	})
}
