export const filtersText = `\
A filter is JSON, for --filter, the library and the server alike. @file reads it from a file.

  {"lang":"fi","year":2024}                               short form: all of these match exactly
  {"must":[{"key":"lang","match":{"value":"fi"}}]}        all conditions of the list hold
  {"should":[…]}                                          at least one holds
  {"must_not":[…]}                                        none holds
  {"min_should":{"conditions":[…],"min_count":2}}         at least two hold

The clauses stand together and nest: a condition may be a filter itself.

  {"key":"lang","match":{"value":"fi"}}                   equal; arrays match on any element
  {"key":"lang","match":{"any":["fi","sv"]}}              one of them
  {"key":"lang","match":{"except":["fi"]}}                there is a value, and it is none of them
  {"key":"title","match":{"text":"winter river"}}         a text has all the words
  {"key":"title","match":{"text_any":"winter river"}}     any of the words
  {"key":"title","match":{"phrase":"river in winter"}}    the words one behind the other
  {"key":"year","range":{"gte":1960,"lt":1970}}           numbers: gt, gte, lt, lte
  {"key":"at","range":{"gte":"2026-07-01T00:00:00Z"}}     times, ISO 8601 with a zone
  {"key":"tags","values_count":{"gt":2}}                  how many values; none where it is missing
  {"is_null":{"key":"lang"}}                              there, and null
  {"is_empty":{"key":"lang"}}                             missing, null, or an empty array
  {"has_id":["a17","a18"]}                                one of these ids

Places are {"lon":…,"lat":…} in degrees, or arrays of them:

  {"key":"at","geo_radius":{"center":{"lon":24.9,"lat":60.2},"radius":5000}}      metres
  {"key":"at","geo_bounding_box":{"top_left":{…},"bottom_right":{…}}}
  {"key":"at","geo_polygon":{"exterior":{"points":[…]},"interiors":[{"points":[…]}]}}

A key may go deeper: "author.name". Conditions on an array may hold on different elements, these on
one and the same: {"nested":{"key":"diet","filter":{"food":"meat","likes":true}}}. 1 and 1.0 are
equal; 1 and "1" are not. A condition of another kind is exit 2.
`
