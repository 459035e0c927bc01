package main

import (
	"math"
	"reflect"
	"slices"
)

// medianLine takes the median of every figure by itself. Texts and counts that are the same in all runs are the first run's.
func medianLine(lines []*benchLine) *benchLine {
	out := *lines[0]
	out.Run = "median"
	into := reflect.ValueOf(&out).Elem()
	for i := range into.NumField() {
		var all []float64
		for _, line := range lines {
			field := reflect.ValueOf(line).Elem().Field(i)
			if field.Kind() == reflect.Pointer && !field.IsNil() {
				field = field.Elem()
			}
			if field.Kind() == reflect.Float64 {
				all = append(all, field.Float())
			}
		}
		if len(all) == 0 {
			continue
		}
		m := median(all)
		if into.Field(i).Kind() == reflect.Pointer {
			into.Field(i).Set(reflect.ValueOf(&m))
		} else {
			into.Field(i).SetFloat(m)
		}
	}
	for _, line := range lines {
		out.MaxMarked = max(out.MaxMarked, line.MaxMarked)
	}
	return &out
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// percentile of sorted values, by the nearest rank.
func percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// round keeps a figure readable.
func round(v float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(v*scale) / scale
}
