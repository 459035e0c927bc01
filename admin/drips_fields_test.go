package admin

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/segments"
)

func TestTheFieldsOfConditionsAreListedWithTheirOperatorsAndWords(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var tag tagView
		w.ask(http.MethodPost, path(w.ours, "/tags"), map[string]any{"name": "VIP"}).into(t, &tag)
		r := w.ask(http.MethodPost, path(w.ours, "/attributes"), map[string]any{"name": "birthday", "label": "生日", "type": "date"})
		require.Equal(t, http.StatusCreated, r.status, string(r.raw))
		fields := func(lang string) map[string]fieldView {
			var list struct {
				Items []fieldView `json:"items"`
			}
			w.ask(http.MethodGet, path(w.ours, "/drips/fields"), nil, "Accept-Language", lang).into(t, &list)
			out := map[string]fieldView{}
			for _, f := range list.Items {
				require.NotEmpty(t, f.Words)
				require.NotEqual(t, f.Field, f.Words, "no words")
				require.Equal(t, segments.Operators(f.Type), f.Operators)
				out[f.Field] = f
			}
			return out
		}
		zh := fields("zh")
		require.Len(t, zh, len(dripFieldWords())+2)
		require.Equal(t, "VIP", zh["tag."+strconv.FormatInt(tag.ID, 10)].Words)
		require.Equal(t, fieldView{Field: "attribute.birthday", Type: segments.TypeDate, Operators: segments.Operators(segments.TypeDate), Words: "生日"}, zh["attribute.birthday"])
		require.Equal(t, "语言", zh["fan.language"].Words)
		require.Equal(t, "language", fields("en")["fan.language"].Words)
	})
}
