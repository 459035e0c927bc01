package fans

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
)

func (r *room) attribute(in NewAttribute) *Attribute {
	r.t.Helper()
	if in.Label == "" {
		in.Label = in.Name
	}
	a, err := r.CreateAttribute(r.t.Context(), account, in)
	require.NoError(r.t, err)
	return a
}

// fans makes fans of nothing but their openids.
func (r *room) fans(n int) []int64 {
	r.t.Helper()
	openids := make([]string, n)
	for i := range openids {
		openids[i] = fmt.Sprintf("o%05d", i)
	}
	var ids []int64
	require.NoError(r.t, r.db.Tx(r.t.Context(), func(tx *gorm.DB) (err error) {
		ids, err = r.idsOf(tx, account, openids)
		return err
	}))
	return ids
}

// values is what is known of a fan, by attribute, as people write it.
func (r *room) values(fan int64) map[string]string {
	r.t.Helper()
	of, err := r.AttributesOf(r.db.Read(r.t.Context()), account, []int64{fan})
	require.NoError(r.t, err)
	out := map[string]string{}
	for _, v := range of[fan] {
		a, err := r.FindAttribute(r.t.Context(), account, v.AttributeID)
		require.NoError(r.t, err)
		out[a.Name] = a.Format(v.Value)
	}
	return out
}

func TestAnAttributeOfEachTypeIsSetReadAndUnset(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		ids := r.fans(1200)
		want := map[string]string{}
		for _, c := range []struct {
			in    NewAttribute
			value string
		}{
			{NewAttribute{Name: "city", Type: TypeText}, "北京 Beijing"},
			{NewAttribute{Name: "points", Type: TypeNumber}, "-12.5"},
			{NewAttribute{Name: "birthday", Type: TypeDate}, "1969-12-31"},
			{NewAttribute{Name: "member", Type: TypeBool}, "true"},
			{NewAttribute{Name: "size", Type: TypeChoice, Choices: []string{"小", "大"}}, "大"},
		} {
			a := r.attribute(c.in)
			require.NoError(t, r.SetAttribute(t.Context(), account, a.ID, c.value, ids))
			want[a.Name] = c.value
		}
		require.Equal(t, want, r.values(ids[0]))
		require.Equal(t, want, r.values(ids[1199]))
		all, err := r.FindAttributes(t.Context(), account)
		require.NoError(t, err)
		require.NoError(t, r.SetAttribute(t.Context(), account, all[1].ID, "7", ids[:1]))
		require.NoError(t, r.UnsetAttribute(t.Context(), account, all[0].ID, ids[:2]))
		require.NoError(t, r.UnsetAttribute(t.Context(), account, all[0].ID, ids[:2]), "twice is harmless")
		delete(want, "city")
		require.Equal(t, want, r.values(ids[1]))
		want["points"] = "7"
		require.Equal(t, want, r.values(ids[0]))
		require.NoError(t, r.DeleteAttribute(t.Context(), account, all[1].ID))
		delete(want, "points")
		require.Equal(t, want, r.values(ids[0]))
		r.attribute(NewAttribute{Name: "points", Type: TypeText})
		require.Equal(t, want, r.values(ids[0]), "a new one of the same name begins with nothing")
		require.NoError(t, r.SweepRemoved(t.Context()))
		require.Zero(t, r.number("SELECT COUNT(*) FROM fan_attributes WHERE attribute_id = ?", all[1].ID))
		require.EqualValues(t, 1198, r.number("SELECT COUNT(*) FROM fan_attributes WHERE attribute_id = ?", all[0].ID))
		require.EqualValues(t, 5, r.number("SELECT COUNT(*) FROM attributes"))
	})
}

func (r *room) number(query string, args ...any) (n int64) {
	r.t.Helper()
	require.NoError(r.t, r.db.Read(r.t.Context()).Raw(query, args...).Scan(&n).Error)
	return n
}

func TestABadAttributeNamesFieldAndRule(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		r.attribute(NewAttribute{Name: "city", Type: TypeText})
		for _, c := range []struct {
			in          NewAttribute
			field, rule string
		}{
			{NewAttribute{Name: "City", Label: "x", Type: TypeText}, "name", "shape"},
			{NewAttribute{Name: "9lives", Label: "x", Type: TypeText}, "name", "shape"},
			{NewAttribute{Name: strings.Repeat("a", 33), Label: "x", Type: TypeText}, "name", "shape"},
			{NewAttribute{Name: "city", Label: "x", Type: TypeText}, "name", "taken"},
			{NewAttribute{Name: "a", Label: " ", Type: TypeText}, "label", "required"},
			{NewAttribute{Name: "a", Label: strings.Repeat("字", 31), Type: TypeText}, "label", "length"},
			{NewAttribute{Name: "a", Label: "a\x00", Type: TypeText}, "label", "characters"},
			{NewAttribute{Name: "a", Label: "x", Type: "json"}, "type", "one_of"},
			{NewAttribute{Name: "a", Label: "x", Type: TypeText, Choices: []string{"a"}}, "choices", "not_allowed"},
			{NewAttribute{Name: "a", Label: "x", Type: TypeChoice}, "choices", "count"},
			{NewAttribute{Name: "a", Label: "x", Type: TypeChoice, Choices: make([]string, 101)}, "choices", "count"},
			{NewAttribute{Name: "a", Label: "x", Type: TypeChoice, Choices: []string{"a", "a "}}, "choices[1]", "twice"},
			{NewAttribute{Name: "a", Label: "x", Type: TypeChoice, Choices: []string{strings.Repeat("字", 31)}}, "choices[0]", "length"},
		} {
			_, err := r.CreateAttribute(t.Context(), account, c.in)
			requireField(t, err, c.field, c.rule)
		}
		require.EqualValues(t, 1, r.number("SELECT COUNT(*) FROM attributes"), "nothing is half stored")
		_, err := r.CreateAttribute(t.Context(), account+1, NewAttribute{Name: "city", Label: "x", Type: TypeText})
		require.NoError(t, err, "another account has its own")
	})
}

func TestAnAccountHasFiftyAttributesAtMost(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		var last *Attribute
		for i := range MaxAttributes {
			last = r.attribute(NewAttribute{Name: fmt.Sprint("a", i), Type: TypeBool})
		}
		_, err := r.CreateAttribute(t.Context(), account, NewAttribute{Name: "more", Label: "x", Type: TypeBool})
		require.True(t, fault.Is(err, fault.Conflict), "%v", err)
		require.NoError(t, r.DeleteAttribute(t.Context(), account, last.ID))
		r.attribute(NewAttribute{Name: "more", Type: TypeBool})
	})
}

func TestChoicesAreRenamedAndAddedButNotRemoved(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		ids := r.fans(2)
		a := r.attribute(NewAttribute{Name: "size", Type: TypeChoice, Choices: []string{"S", "L"}})
		require.NoError(t, r.SetAttribute(t.Context(), account, a.ID, "L", ids))
		label := "尺寸"
		next, err := r.UpdateAttribute(t.Context(), a, AttributePatch{Label: &label, Choices: []Choice{{0, "M"}, {2, "大"}, {1, "S"}}})
		require.NoError(t, err)
		stored, err := r.FindAttribute(t.Context(), account, a.ID)
		require.NoError(t, err)
		require.Equal(t, next, stored)
		require.Equal(t, []Choice{{3, "M"}, {2, "大"}, {1, "S"}}, stored.Choices)
		require.Equal(t, map[string]string{"size": "大"}, r.values(ids[0]))
		for _, c := range []struct {
			choices     []Choice
			field, rule string
		}{
			{[]Choice{{3, "M"}, {1, "S"}}, "choices", "choice_removed"},
			{[]Choice{{3, "M"}, {2, "L"}, {1, "S"}, {9, "X"}}, "choices[3]", "unknown"},
			{[]Choice{{3, "M"}, {2, "L"}, {1, "S"}, {1, "T"}}, "choices[3]", "unknown"},
		} {
			_, err := r.UpdateAttribute(t.Context(), stored, AttributePatch{Choices: c.choices})
			requireField(t, err, c.field, c.rule)
		}
		_, err = r.UpdateAttribute(t.Context(), a, AttributePatch{Label: &label})
		require.True(t, fault.Is(err, fault.Conflict), "the revision is an old one")
		require.NoError(t, r.DeleteAttribute(t.Context(), account, a.ID))
		_, err = r.UpdateAttribute(t.Context(), stored, AttributePatch{Label: &label})
		require.True(t, fault.Is(err, fault.NotFound))
		require.True(t, fault.Is(r.DeleteAttribute(t.Context(), account, a.ID), fault.NotFound))
	})
}

func TestASetOfFansGetsAValueWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		ids := r.fans(2)
		a := r.attribute(NewAttribute{Name: "points", Type: TypeNumber})
		for _, c := range []struct {
			account, attribute int64
			value              string
			fans               []int64
			code               fault.Code
		}{
			{account, a.ID, "1", []int64{ids[0], 12345}, fault.NotFound},
			{account, 999, "1", ids, fault.NotFound},
			{account + 1, a.ID, "1", ids, fault.NotFound},
			{account, a.ID, "one", ids, fault.Invalid},
			{account, a.ID, "1", nil, fault.Invalid},
			{account, a.ID, "1", upTo(MaxSet + 1), fault.Invalid},
		} {
			require.True(t, fault.Is(r.SetAttribute(t.Context(), c.account, c.attribute, c.value, c.fans), c.code))
		}
		require.Empty(t, r.values(ids[0]))
		require.True(t, fault.Is(r.UnsetAttribute(t.Context(), account+1, a.ID, ids), fault.NotFound))
		require.True(t, fault.Is(r.UnsetAttribute(t.Context(), account, a.ID, []int64{12345}), fault.NotFound))
	})
}

// Segments will ask so: the order of the numbers is that of what they stand for.
func TestNumbersOfValuesCompareAsTheValuesDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a      Attribute
		rising []string
	}{
		{Attribute{Name: "n", Type: TypeNumber}, []string{"-99999999999999.9999", "-2", "-1.5", "-0.0001", "0", "0.0001", "0.5", "1", "+1.5", "0010", "99999999999999.9999"}},
		{Attribute{Name: "d", Type: TypeDate}, []string{"0001-01-01", "1969-12-31", "1970-01-01", "2024-02-29", "2026-03-04", "9999-12-31"}},
		{Attribute{Name: "b", Type: TypeBool}, []string{"否", "是"}},
	} {
		before := int64(-1 << 63)
		for _, text := range c.rising {
			v, err := c.a.Parse(text)
			require.NoError(t, err, text)
			require.Greater(t, v.Number, before, text)
			before = v.Number
		}
	}
}

func TestABadValueIsRefusedWithItsRule(t *testing.T) {
	t.Parallel()
	for kind, bad := range map[AttributeType]map[string]string{
		TypeText:   {" ": "required", strings.Repeat("字", 201): "length", "a\tb": "characters", "\xff": "characters"},
		TypeNumber: {"": "required", "1e3": "number", "1,000": "number", "1.00001": "number", ".5": "number", "5.": "number", "--1": "number", "+-1": "number", "100000000000000": "number", "٣": "number", "0x1": "number", "NaN": "number"},
		TypeDate:   {"2026-02-29": "date", "2026-3-4": "date", "2026/03/04": "date", "2026-03-04T00:00:00Z": "date", "04.03.2026": "date"},
		TypeBool:   {"yes?": "bool", "2": "bool"},
		TypeChoice: {"c": "choice", "A": "choice"},
	} {
		a := Attribute{Name: "x", Type: kind, Choices: []Choice{{1, "a"}, {2, "b"}}}
		for text, rule := range bad {
			_, err := a.Parse(text)
			requireField(t, err, "value", rule)
		}
	}
	a := Attribute{Name: "x", Type: TypeText}
	for _, text := range []string{"a", strings.Repeat("𝒳", 200)} {
		_, err := a.Parse(text)
		require.NoError(t, err)
	}
	require.Equal(t, "9", (&Attribute{Type: TypeChoice}).Format(Value{Number: 9}))
}

func FuzzAttributeParse(f *testing.F) {
	for _, text := range []string{"", "a", "-12.5", "00.0", "2026-03-04", "是", "大", "99999999999999.9999", "-0", "+0.5", "1969-12-31", "\xff"} {
		f.Add(text)
	}
	choices := []Choice{{1, "小"}, {2, "大"}}
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []AttributeType{TypeText, TypeNumber, TypeDate, TypeBool, TypeChoice} {
			a := Attribute{Name: "x", Type: kind, Choices: choices}
			v, err := a.Parse(text)
			if err != nil {
				requireCode(t, err)
				continue
			}
			again, err := a.Parse(a.Format(v))
			require.NoError(t, err, "%s: %q became %q", kind, text, a.Format(v))
			require.Equal(t, v, again, "%s: %q became %q", kind, text, a.Format(v))
			require.LessOrEqual(t, len([]rune(v.Text)), MaxAttributeText)
		}
	})
}

func requireCode(t *testing.T, err error) {
	t.Helper()
	fields := fault.Fields(err)
	require.Len(t, fields, 1)
	require.Equal(t, "value", fields[0].Field)
	require.NotEmpty(t, fields[0].Rule)
}

// The comparisons of segments are ranges of one index on both engines.
func TestComparisonsOfAttributesUseTheirIndex(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		if r.db.Dialect() != database.SQLite {
			t.Skip("a small table of MySQL's is read whole whatever its indexes")
		}
		for _, where := range []string{"number > 5", "number BETWEEN 5 AND 9", "number = 5 AND text = 'x'"} {
			var plan []struct{ Detail string }
			require.NoError(t, r.db.Read(t.Context()).Raw("EXPLAIN QUERY PLAN SELECT fan_id FROM fan_attributes WHERE attribute_id = 1 AND "+where).Scan(&plan).Error)
			require.Contains(t, plan[0].Detail, "fan_attributes_number (attribute_id=? AND number", where)
		}
	})
}
